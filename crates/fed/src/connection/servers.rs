//! The named Federations of this person: `$XDG_CONFIG_HOME/downcity/servers.toml`.
//!
//! The file holds admin keys in the clear, so it is for its owner alone. It may be edited by hand:
//! comments and order stay when a command changes it.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use downcity_server::FailureKind;
use secrecy::{ExposeSecret as _, SecretString};
use toml_edit::{DocumentMut, Item, Table, value};

use crate::failure::Failure;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) admin_key: Option<SecretString>,
}

impl Server {
    /// Whether it is the one at this address; a slash at the end makes no difference.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        self.url.trim_end_matches('/') == url.trim_end_matches('/')
    }
}

/// The file and what it says.
#[derive(Debug)]
pub(crate) struct Servers {
    path: PathBuf,
    document: DocumentMut,
}

impl Servers {
    /// Reads the file; without one there are no servers.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or can be read by others.
    pub(crate) fn open() -> Result<Self, Failure> {
        Self::at(path()?)
    }

    fn at(path: PathBuf) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unusable(&path, &error.to_string())),
        };
        if !text.is_empty() {
            check_owner_only(&path)?;
        }
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            // What it says shows the line, which may hold a key.
            unusable(&path, &format!("it is not TOML: {}", error.message()))
        })?;
        if document.get("servers").is_some_and(|servers| !servers.is_table_like()) {
            return Err(unusable(&path, "`servers` is no table of servers"));
        }
        Ok(Self { path, document })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All servers, in the order of the file.
    pub(crate) fn all(&self) -> Vec<Server> {
        let Some(servers) = self.document.get("servers").and_then(Item::as_table_like) else {
            return Vec::new();
        };
        servers.iter().filter_map(|(name, _)| self.get(name)).collect()
    }

    /// The server of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Server> {
        let entry = self.document.get("servers")?.get(name)?;
        let text = |key: &str| entry.get(key).and_then(Item::as_str).map(str::to_owned);
        Some(Server {
            name: name.to_owned(),
            url: text("url")?,
            admin_key: text("admin_key").map(SecretString::from),
        })
    }

    /// The admin key that is stored for this address.
    pub(crate) fn key_of(&self, url: &str) -> Option<SecretString> {
        let all = self.all().into_iter();
        all.filter(|server| server.is_at(url)).find_map(|server| server.admin_key)
    }

    /// The server that commands go to unless they name another: the chosen one, or the only one.
    pub(crate) fn current(&self) -> Option<Server> {
        let named = self.document.get("current").and_then(Item::as_str);
        match named {
            Some(name) => self.get(name),
            None => {
                let mut all = self.all();
                if all.len() == 1 { all.pop() } else { None }
            }
        }
    }

    /// Adds a server, or changes the one of its name. The first one becomes the current.
    pub(crate) fn put(&mut self, server: &Server) {
        let is_first = self.all().is_empty();
        let servers = self.document.entry("servers").or_insert_with(|| {
            let mut servers = Table::new();
            servers.set_implicit(true);
            Item::Table(servers)
        });
        let entry = &mut servers[&server.name];
        if !entry.is_table_like() {
            *entry = Item::Table(Table::new());
        }
        entry["url"] = value(&server.url);
        if let Some(key) = &server.admin_key {
            entry["admin_key"] = value(key.expose_secret());
        }
        if is_first {
            self.choose(&server.name);
        }
    }

    /// Makes a server the current one.
    pub(crate) fn choose(&mut self, name: &str) {
        self.document["current"] = value(name);
    }

    /// Forgets a server; says whether it was known.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let was_only = self.current().is_some_and(|current| current.name == name);
        let Some(servers) = self.document.get_mut("servers").and_then(Item::as_table_like_mut)
        else {
            return false;
        };
        let was_known = servers.remove(name).is_some();
        if self.document.get("current").and_then(Item::as_str) == Some(name) || was_only {
            // Commands that went there go nowhere until another one is chosen: not to whichever is left.
            self.document["current"] = value("");
        }
        was_known
    }

    /// Writes the file: whole or not at all, readable by its owner only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| unusable(&self.path, &error.to_string());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut file =
            tempfile::Builder::new().prefix(".servers-").tempfile_in(folder).map_err(failed)?;
        file.write_all(self.document.to_string().as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// `$XDG_CONFIG_HOME/downcity/servers.toml`, else under `~/.config`.
fn path() -> Result<PathBuf, Failure> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = from("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| from("HOME").map(|home| PathBuf::from(home).join(".config")));
    let Some(folder) = folder else {
        let message = "There is no place for servers.toml: set HOME or XDG_CONFIG_HOME.";
        return Err(Failure::new(FailureKind::NotAllowed, message));
    };
    Ok(folder.join("downcity").join("servers.toml"))
}

#[cfg(unix)]
fn check_owner_only(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = std::fs::metadata(path).map_err(|error| unusable(path, &error.to_string()))?;
    if mode.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let message = format!(
        "{} holds admin keys and can be read by others. Run: chmod 600 {}",
        path.display(),
        path.display()
    );
    Err(Failure::new(FailureKind::NotAllowed, message))
}

#[cfg(not(unix))]
fn check_owner_only(_: &Path) -> Result<(), Failure> {
    Ok(())
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(FailureKind::Failed, format!("{} cannot be used: {why}.", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, key: Option<&str>) -> Server {
        Server {
            name: name.to_owned(),
            url: format!("https://{name}.example.com"),
            admin_key: key.map(SecretString::from),
        }
    }

    #[test]
    fn a_slash_at_the_end_makes_no_other_address() {
        let one = server("one", None);
        assert!(one.is_at("https://one.example.com") && one.is_at("https://one.example.com/"));
        assert!(!one.is_at("https://one.example.com/two") && !one.is_at("http://one.example.com"));
    }

    #[test]
    fn a_key_is_that_of_its_address_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut servers = Servers::at(folder.path().join("servers.toml")).unwrap();
        servers.put(&server("bare", None));
        servers.put(&server("one", Some("secret")));
        let key = |url: &str| servers.key_of(url).map(|key| key.expose_secret().to_owned());
        assert_eq!(key("https://one.example.com/").as_deref(), Some("secret"));
        for other in ["https://bare", "http://one", "https://one.example.com:1@two"] {
            assert_eq!(key(&format!("{other}.example.com")), None, "{other}");
        }
    }

    #[test]
    fn a_file_of_another_form_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servers.toml");
        Servers::at(path.clone()).unwrap().save().unwrap();
        for text in ["servers = []\n", "[[servers]]\nname = \"one\"\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(Servers::at(path.clone()).err().unwrap().message().contains("no table"));
        }
    }

    #[test]
    fn servers_are_kept_beside_what_was_written_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("downcity/servers.toml");
        let mut servers = Servers::at(path.clone()).unwrap();
        assert!(servers.current().is_none());
        servers.put(&server("one", Some("secret")));
        servers.put(&server("two", None));
        servers.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("# mine\n{text}")).unwrap();

        let mut servers = Servers::at(path.clone()).unwrap();
        assert_eq!(servers.current().unwrap().name, "one");
        assert_eq!(servers.all().len(), 2);
        servers.choose("two");
        assert!(servers.remove("one") && !servers.remove("one"));
        servers.save().unwrap();
        let servers = Servers::at(path.clone()).unwrap();
        assert_eq!(servers.current().unwrap().url, "https://two.example.com");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("# mine\n"));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servers.toml");
        let mut servers = Servers::at(path.clone()).unwrap();
        servers.put(&server("one", Some("secret")));
        servers.save().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Servers::at(path).unwrap_err();
        assert!(format!("{refused:?}").contains("chmod 600"));
    }

    #[test]
    fn what_is_no_toml_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servers.toml");
        let mut file = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        file.write_all(b"admin_key = \"secret").unwrap();
        file.persist(&path).unwrap();
        let refused = format!("{:?}", Servers::at(path).unwrap_err());
        assert!(refused.contains("not TOML") && !refused.contains("secret"), "{refused}");
    }
}
