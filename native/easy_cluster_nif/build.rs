//! The library stays mapped when its module is purged: a resolver may still hold one of its threads. Another build of the
//! same version, under the same path, is therefore taken up by a restart of the VM only.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
