//! Who the program runs as.

use nix::unistd::{self, geteuid, setgid, setuid};

use crate::config::User;

/// Whether this is root now.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Becomes the configured user for good; only root can, and tells whether it did.
pub(crate) fn become_user(user: &User) -> Result<bool, String> {
    if !is_root() {
        return Ok(false);
    }
    let known = match unistd::User::from_name(&user.name) {
        Ok(Some(known)) => known,
        Ok(None) => return Err(format!("no such user: {}", user.name)),
        Err(error) => return Err(format!("could not look up user {}: {error}", user.name)),
    };
    let name = std::ffi::CString::new(known.name).map_err(|error| error.to_string())?;
    unistd::initgroups(&name, known.gid)
        .and_then(|()| setgid(known.gid))
        .and_then(|()| setuid(known.uid))
        .map_err(|error| format!("could not become user {}: {error}", user.name))?;
    Ok(true)
}
