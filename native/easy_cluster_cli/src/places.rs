//! Where the machine's files are: the same for every command that looks at them.

use std::path::PathBuf;

use easy_cluster_probe::machine::Places;

#[derive(clap::Args)]
pub(crate) struct Whereabouts {
    /// The folder of ejabberdctl.cfg, as `ejabberdctl -d` takes it [default: /etc/ejabberd].
    #[arg(long, value_name = "DIR")]
    config: Option<String>,
    /// The folder of the database, as `ejabberdctl -s` takes it [default: /var/lib/ejabberd].
    #[arg(long, value_name = "DIR")]
    spool: Option<String>,
    /// The user that ejabberd runs as.
    #[arg(long, value_name = "NAME", default_value = "ejabberd")]
    user: String,
    /// Look at the machine whose file system is mounted at DIR: all paths are below it.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Whereabouts {
    pub(crate) fn places(&self) -> Places {
        Places {
            root: self.root.clone(),
            config: self.config.clone(),
            spool: self.spool.clone(),
            user: Some(self.user.clone()),
        }
    }
}
