//! How the VM finds the functions. `rustler::init!` does the same without an upgrade function, and without one the VM
//! refuses to load a new version of the module while the old one is still there.

use std::sync::OnceLock;

use rustler::Nif;
use rustler::codegen_runtime::{
    ErlNifEntry, ErlNifEnv, ErlNifTerm, c_int, c_void, internal_write_symbols, inventory,
};
use rustler::sys::{NIF_MAJOR_VERSION, NIF_MINOR_VERSION};

// OTP 24 to 29 load it; a crate that asks rustler for a later version would silently shut out the older of them.
const _: () = assert!(NIF_MAJOR_VERSION == 2 && NIF_MINOR_VERSION == 15);

/// The entry, which the VM keeps a pointer to.
struct Entry(ErlNifEntry);

// SAFETY: what it points to is constant, and never freed.
unsafe impl Send for Entry {}
// SAFETY: as above; the VM only reads.
unsafe impl Sync for Entry {}

/// What the VM calls after it has opened the library.
#[unsafe(no_mangle)]
extern "C" fn nif_init() -> *const ErlNifEntry {
    static ENTRY: OnceLock<Entry> = OnceLock::new();
    // SAFETY: the VM has loaded this library, so its functions are there to be found.
    unsafe { internal_write_symbols() };
    let entry = ENTRY.get_or_init(|| {
        let functions: Vec<_> = inventory::iter::<Nif>().map(Nif::get_def).collect();
        let mut entry = ErlNifEntry::new(c"easy_cluster_nif", functions.leak(), load);
        entry.upgrade = Some(upgrade);
        Entry(entry)
    });
    &raw const entry.0
}

/// There is nothing to prepare: no resources, no state.
extern "C" fn load(_: *mut ErlNifEnv, _: *mut *mut c_void, _: ErlNifTerm) -> c_int {
    0
}

/// And nothing to take over from the version before.
extern "C" fn upgrade(_: *mut ErlNifEnv, _: *mut *mut c_void, _: *mut *mut c_void, _: ErlNifTerm) -> c_int {
    0
}
