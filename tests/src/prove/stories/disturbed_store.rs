//! A storage that is disturbed: it ends its process at a given one of the calls that change something, or calls fail
//! by chance, some of them after they have done what they were asked for.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::DeltaResult;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use deltalake::logstore::{ObjectStoreFactory, ObjectStoreRef, StorageConfig, object_store_factories};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use url::Url;

use crate::prove::dice::Dice;

/// Of a hundred calls so many fail before they do anything, and of a hundred writes so many after.
const FAILING: usize = 10;

/// What becomes of calls to the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// All do what they are asked for.
    Calm,
    /// The process ends before this one of the calls that change something, counted from 1.
    DiesAt(u64),
    /// From this one of the calls that change something on the disk is full, counted from 1.
    FullAt(u64),
    /// One in ten fails, and one in ten of the writes that were made says that it failed. The seed, the place and the
    /// number of the call at that place decide, so that a run is disturbed alike whatever order its calls come in.
    Fails {
        /// What the chances are drawn from.
        seed: u64,
    },
}

/// Calls that change something, over all tables of the process.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    fate: Fate,
    made: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    by_place: Arc<Mutex<HashMap<String, u64>>>,
}

impl Calls {
    /// Calls that nobody has made yet.
    pub(crate) fn new(fate: Fate) -> Self {
        Self { fate, made: Arc::default(), failed: Arc::default(), by_place: Arc::default() }
    }

    /// Has every local table of this process meet `fate`.
    pub(super) fn of_local_tables(fate: Fate) -> Self {
        let calls = Self::new(fate);
        let registry = object_store_factories();
        let files = Url::parse("file://").ok();
        let plain = files.as_ref().and_then(|scheme| registry.get(scheme).map(|found| Arc::clone(&found)));
        if let (Some(scheme), Some(plain)) = (files, plain) {
            registry.insert(scheme, Arc::new(DisturbedStores { plain, calls: calls.clone() }));
        }
        calls
    }

    /// How many were made.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// How many failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    fn note_change(&self) -> Result<()> {
        let made = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        match self.fate {
            Fate::DiesAt(fatal) if made == fatal => std::process::abort(),
            Fate::FullAt(full) if made >= full => {
                let source = Box::new(io::Error::from(io::ErrorKind::StorageFull));
                Err(Error::Generic { store: "disturbed", source })
            }
            _ => Ok(()),
        }
    }

    /// Whether the next call of `kind` at `place` fails.
    fn fails(&self, kind: &str, place: &Path) -> Result<()> {
        let Fate::Fails { seed } = self.fate else { return Ok(()) };
        // Names of new files are random; what they are called by says enough.
        let place = format!("{kind} {}", place.filename().map_or(place.as_ref(), named));
        let mut by_place = self.by_place.lock().unwrap_or_else(PoisonError::into_inner);
        let number = by_place.entry(place.clone()).or_default();
        *number += 1;
        let mixed = place
            .bytes()
            .fold(seed ^ *number, |mixed, byte| mixed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
        if !Dice::new(mixed).chance(FAILING) {
            return Ok(());
        }
        self.failed.fetch_add(1, Ordering::SeqCst);
        let error = io::Error::new(io::ErrorKind::TimedOut, format!("no answer to {place}"));
        Err(Error::Generic { store: "disturbed", source: Box::new(error) })
    }
}

/// The name of a file without what is random in it.
fn named(file: &str) -> &str {
    let random = ["part-", "deletion_vector_", "cdc-"];
    random.into_iter().find(|kind| file.starts_with(kind)).unwrap_or(file)
}

struct DisturbedStores {
    plain: Arc<dyn ObjectStoreFactory>,
    calls: Calls,
}

impl ObjectStoreFactory for DisturbedStores {
    fn parse_url_opts(&self, url: &Url, config: &StorageConfig) -> DeltaResult<(ObjectStoreRef, Path)> {
        let (store, path) = self.plain.parse_url_opts(url, config)?;
        Ok((Arc::new(DisturbedStore { store, calls: self.calls.clone() }), path))
    }
}

/// A storage whose calls meet their fate.
#[derive(Debug)]
pub(crate) struct DisturbedStore {
    pub(crate) store: ObjectStoreRef,
    pub(crate) calls: Calls,
}

impl fmt::Display for DisturbedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disturbed {}", self.store)
    }
}

#[async_trait::async_trait]
impl ObjectStore for DisturbedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.calls.note_change()?;
        self.calls.fails("put", location)?;
        let put = self.store.put_opts(location, payload, options).await?;
        self.calls.fails("put, and said that it did not,", location)?;
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.calls.note_change()?;
        self.calls.fails("begin", location)?;
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.calls.fails("get", location)?;
        self.store.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.calls.fails("get", location)?;
        self.store.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let calls = self.calls.clone();
        let asked = locations.map(move |location| {
            let location = location?;
            match calls.note_change() {
                // Deleting needs no room.
                Err(_) if matches!(calls.fate, Fate::FullAt(_)) => {}
                noted => noted?,
            }
            calls.fails("delete", &location).map(|()| location)
        });
        self.store.delete_stream(asked.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.calls.fails("list", prefix.unwrap_or(&Path::ROOT)) {
            Ok(()) => self.store.list(prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.calls.fails("list", prefix.unwrap_or(&Path::ROOT)) {
            Ok(()) => self.store.list_with_offset(prefix, offset),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.calls.fails("list", prefix.unwrap_or(&Path::ROOT))?;
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.calls.note_change()?;
        self.calls.fails("copy", to)?;
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.calls.note_change()?;
        self.calls.fails("rename", to)?;
        self.store.rename_opts(from, to, options).await
    }
}
