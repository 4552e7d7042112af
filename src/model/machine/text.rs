//! From a file's bytes to text, and what stands in the way.

/// The text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The characters, without a byte order mark. What is no UTF-8 is replaced.
    pub text: String,
    /// Whether it begins with a byte order mark, which an editor put there.
    pub bom: bool,
    /// The first line that ends as Windows ends lines, from one on.
    pub crlf: Option<u32>,
}

/// Reads any bytes.
#[must_use]
pub fn parse(bytes: &[u8]) -> Text {
    let (bom, rest) = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] | [0xfe, 0xff, rest @ ..] | [0xff, 0xfe, rest @ ..] => (true, rest),
        all => (false, all),
    };
    let text = String::from_utf8_lossy(rest).into_owned();
    let crlf = text.split_inclusive('\n').position(|line| line.ends_with("\r\n"));
    let crlf = crlf.map(|index| u32::try_from(index + 1).unwrap_or(u32::MAX));
    Text { text, bom, crlf }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_told_and_taken_off() {
        assert_eq!(parse(b"\xef\xbb\xbfA=1\n"), Text { text: "A=1\n".into(), bom: true, crlf: None });
    }

    #[test]
    fn the_first_line_that_windows_ended_is_told() {
        assert_eq!(parse(b"A=1\nB=2\r\nC=3\r\n").crlf, Some(2));
    }

    #[test]
    fn what_is_no_utf_8_is_replaced() {
        assert_eq!(parse(b"# M\xfcller\n").text, "# M\u{fffd}ller\n");
    }
}
