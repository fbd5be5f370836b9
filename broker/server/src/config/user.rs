//! `/etc/ave/user`: whose broker a machine runs, and where that user's home is.

use std::path::{Path, PathBuf};

use ave_profile::Value;

use super::fault::shown;
use super::file::{self, FileFault};

/// Where the installation says whose broker this is.
pub const USER_FILE: &str = "/etc/ave/user";

/// The user a machine's broker belongs to (Specification 8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name in the password database.
    pub name: String,
    /// Where `.ave` lies.
    pub home: PathBuf,
}

/// Why the user is not known. `file` is `/etc/ave/user` outside tests.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such file.
    #[error("{} does not exist", .file.display())]
    Missing {
        /// Which file.
        file: PathBuf,
    },
    /// It does not say what it must.
    #[error("could not load {file}: {reason}", file = .file.display())]
    Invalid {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The password database does not have the name.
    #[error("no such user: {0}")]
    NoSuchUser(String),
}

impl User {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it is missing, not what it must be, or names nobody.
    pub fn read(path: &Path) -> Result<User, UserError> {
        let content = file::read(path).map_err(|fault| match fault {
            FileFault::Missing => UserError::Missing { file: path.to_owned() },
            other => UserError::Invalid { file: path.to_owned(), reason: other.to_string() },
        })?;
        User::of(path, &content)
    }

    /// Like [`User::read`]; no file is no user.
    ///
    /// # Errors
    /// If there is a file and it is no use.
    pub fn read_if_any(path: &Path) -> Result<Option<User>, UserError> {
        match User::read(path) {
            Ok(user) => Ok(Some(user)),
            Err(UserError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The user a file of this content names. `uid` and `home` default to the password database.
    ///
    /// # Errors
    /// If it names nobody.
    pub fn of(path: &Path, content: &Value) -> Result<User, UserError> {
        let member = |name: &str| content.as_map().and_then(|map| map.get(name));
        let invalid = |what: &str| UserError::Invalid {
            file: path.to_owned(),
            reason: format!("invalid {}: {what}: {}", path.display(), shown(content)),
        };
        let name = match member("name") {
            Some(Value::Text(name)) => name.clone(),
            Some(_) => return Err(invalid("\"name\" is not a string")),
            None => return Err(invalid("no \"name\" entry")),
        };
        let home = match member("home") {
            Some(Value::Text(home)) => PathBuf::from(home),
            Some(_) => return Err(invalid("\"home\" is not a string")),
            None => match nix::unistd::User::from_name(&name) {
                Ok(Some(known)) => known.dir,
                _ => return Err(UserError::NoSuchUser(name)),
            },
        };
        Ok(User { name, home })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(content: serde_json::Value) -> Result<User, String> {
        User::of(Path::new(USER_FILE), &content.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn messages_are_those_of_8_1() {
        let missing = User::read(Path::new("/nowhere/ave/user")).unwrap_err();
        assert_eq!(missing.to_string(), "/nowhere/ave/user does not exist");
        let start = "could not load /etc/ave/user: invalid /etc/ave/user: no \"name\" entry: ";
        for nameless in [json!({}), json!([]), json!({"home": "/h"})] {
            let message = of(nameless).unwrap_err();
            assert!(message.starts_with(start), "{message}");
        }
        assert!(of(json!({"name": 1})).unwrap_err().contains("\"name\" is not a string"));
        assert_eq!(of(json!({"name": "no-such-user"})).unwrap_err(), "no such user: no-such-user");
    }

    #[test]
    fn home_defaults_to_the_password_database() {
        let root = of(json!({"name": "root"})).unwrap();
        assert_eq!(root.home, nix::unistd::User::from_name("root").unwrap().unwrap().dir);
        assert_eq!(of(json!({"name": "lab", "home": "/h", "uid": 7})).unwrap().home, Path::new("/h"));
    }
}
