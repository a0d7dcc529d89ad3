//! Where the values are kept: in the table `env`, or in a `.env` file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use downcity_db::Tx;
use downcity_types::{EnvSource, ErrorCode};

use super::file::{Document, EnvFile, FileStamp, FileTurn};
use super::values::{Entry, EnvValues};
use super::{Vault, city, normalise_key, store};
use crate::{Error, Result, Secret};

/// What stands in example files where a key belongs.
const PLACEHOLDER: &str = "sk-...";

/// Where env values are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EnvStore {
    /// In the table `env`, sealed.
    #[default]
    Database,
    /// In this `.env` file, in the clear.
    Dotenv(PathBuf),
}

/// How env values are kept and followed.
#[derive(Clone, Debug, Default)]
pub struct EnvOptions {
    /// Where they are kept.
    pub store: EnvStore,
    /// Whether edits from outside apply without a refresh: a file is looked at twice a second, the
    /// table before each request.
    pub auto_refresh: bool,
    /// The process environment, where it stands in for values that are not set; by key.
    pub fallback: Vec<(String, Secret)>,
}

/// By what one sees that values were edited from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing was read.
    #[default]
    Unread,
    /// A digest of the rows, and whether there are some in the clear.
    Table { digest: [u8; 32], in_the_clear: bool },
    /// The file; `None` when there is none.
    File(Option<FileStamp>),
}

/// The store of a node.
pub(crate) struct Backing {
    file: Option<Arc<EnvFile>>,
    fallback: Arc<BTreeMap<String, Entry>>,
    auto_refresh: bool,
}

impl Backing {
    pub(crate) fn new(options: EnvOptions) -> Self {
        let file = match options.store {
            EnvStore::Database => None,
            EnvStore::Dotenv(path) => Some(Arc::new(EnvFile::new(path))),
        };
        let usable = options.fallback.into_iter().filter_map(|(key, value)| {
            let key = normalise_key(&key).filter(|_| is_given(&value))?;
            Some((key, Entry::from(value)))
        });
        let fallback = Arc::new(usable.collect());
        Self { file, fallback, auto_refresh: options.auto_refresh }
    }

    /// The file, where values are kept in one.
    pub(crate) fn file(&self) -> Option<&Arc<EnvFile>> {
        self.file.as_ref()
    }

    /// Whether edits from outside apply without a refresh.
    pub(crate) fn auto_refresh(&self) -> bool {
        self.auto_refresh
    }

    /// Whether the process environment gives this key a value that is used without being stored.
    pub(crate) fn stands_in(&self, key: &str) -> Option<&Secret> {
        self.file.as_ref()?;
        self.fallback.get(key).map(|entry| &entry.value)
    }

    /// The values as they stand now, for a snapshot. Runs in a transaction of the database, so that
    /// the values are at least as new as its revision: a file is written before the commit.
    pub(crate) fn load(&self, tx: &mut Tx<'_>, vault: &Vault) -> Result<EnvValues> {
        let mut values = match &self.file {
            None => store::load(tx, vault)?,
            Some(file) => {
                let found = file.load();
                let mut values = of_file(&found.values, Mark::File(found.stamp));
                values.cities = city::open(vault, city::rows(tx)?);
                values
            }
        };
        values.fallback = self.fallback.clone();
        Ok(values)
    }

    /// The turn to change values; see [`Turn`].
    ///
    /// # Errors
    /// Those of [`EnvFile::turn`].
    pub(crate) async fn turn(&self) -> Result<Arc<Turn>> {
        let file = match &self.file {
            Some(file) => Some(file.turn().await?),
            None => None,
        };
        Ok(Arc::new(Turn { file, fallback: self.fallback.clone() }))
    }
}

/// Whether a value of the process environment is one: not blank, and not the placeholder of example
/// files.
pub(crate) fn is_given(value: &Secret) -> bool {
    let text = value.expose().trim();
    !text.is_empty() && text != PLACEHOLDER
}

fn of_file(values: &BTreeMap<String, Secret>, mark: Mark) -> EnvValues {
    let entries = values.iter().map(|(key, value)| (key.clone(), value.clone().into()));
    EnvValues {
        entries: entries.collect(),
        mark,
        source: EnvSource::Dotenv,
        ..EnvValues::default()
    }
}

/// The turn to change values. Taken before the transaction and held until its outcome is known; for
/// a file it holds the lock.
pub(crate) struct Turn {
    file: Option<FileTurn>,
    fallback: Arc<BTreeMap<String, Entry>>,
}

impl Turn {
    /// Runs a change within a transaction. A file is written at the end of each run: the transaction
    /// fails with it, and a run that is repeated begins with the text from before the first one.
    pub(crate) fn run<T>(&self, work: impl FnOnce(&Values) -> Result<T>) -> Result<T> {
        let Some(file) = &self.file else {
            return work(&Values { document: None, fallback: self.fallback.clone() });
        };
        let document = Some(RefCell::new(file.begin()));
        let values = Values { document, fallback: self.fallback.clone() };
        let done = work(&values)?;
        if let Some(document) = values.document {
            file.write(&document.into_inner())?;
        }
        Ok(done)
    }

    /// Ends the turn with the outcome of the transaction. A file is put back as it was when nothing
    /// was stored; where nobody knows, the new values stay.
    pub(crate) fn end<T>(&self, outcome: Result<T>) -> Result<T> {
        if let (Some(file), Err(error)) = (&self.file, &outcome)
            && error.code() != ErrorCode::CommitUnknown
        {
            file.undo();
        }
        outcome
    }
}

/// The values that a transaction reads and changes.
pub(crate) struct Values {
    /// `None` for the table, which the transaction reaches by itself.
    document: Option<RefCell<Document>>,
    fallback: Arc<BTreeMap<String, Entry>>,
}

impl Values {
    /// The table `env`.
    pub(crate) fn of_table() -> Self {
        Self { document: None, fallback: Arc::default() }
    }

    /// The text of the file, where values are kept in one.
    pub(super) fn document(&self) -> Option<&RefCell<Document>> {
        self.document.as_ref()
    }

    /// The values as the transaction sees them.
    pub(crate) fn load(&self, tx: &mut Tx<'_>, vault: &Vault) -> Result<EnvValues> {
        let mut values = match &self.document {
            None => store::load(tx, vault)?,
            Some(document) => of_file(&document.borrow().values(), Mark::Unread),
        };
        values.fallback = self.fallback.clone();
        Ok(values)
    }
}

/// The answer to a change that the text of the file does not take.
pub(super) fn unfit(key: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::EnvFile, format!("{key} cannot be changed in the env file: {why}."))
        .with_fix("Complete the quotes in the file by hand.")
}
