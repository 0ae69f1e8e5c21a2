//! A storage that ends its process at a given one of the calls that change something.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deltalake::DeltaResult;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use deltalake::logstore::{ObjectStoreFactory, ObjectStoreRef, StorageConfig, object_store_factories};
use futures::StreamExt;
use futures::stream::BoxStream;
use url::Url;

/// Calls that change something, over all tables of the process; it ends before the `fatal`-th of them.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    made: Arc<AtomicU64>,
    fatal: Option<u64>,
}

impl Calls {
    /// Has every local table of this process count its calls.
    pub(super) fn watched(fatal: Option<u64>) -> Self {
        let calls = Self { made: Arc::default(), fatal };
        let registry = object_store_factories();
        let files = Url::parse("file://").ok();
        let plain = files.as_ref().and_then(|scheme| registry.get(scheme).map(|found| Arc::clone(&found)));
        if let (Some(scheme), Some(plain)) = (files, plain) {
            registry.insert(scheme, Arc::new(DyingStores { plain, calls: calls.clone() }));
        }
        calls
    }

    /// How many were made.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    fn note(&self) {
        if self.fatal == Some(self.made.fetch_add(1, Ordering::SeqCst) + 1) {
            std::process::abort();
        }
    }
}

struct DyingStores {
    plain: Arc<dyn ObjectStoreFactory>,
    calls: Calls,
}

impl ObjectStoreFactory for DyingStores {
    fn parse_url_opts(&self, url: &Url, config: &StorageConfig) -> DeltaResult<(ObjectStoreRef, Path)> {
        let (store, path) = self.plain.parse_url_opts(url, config)?;
        Ok((Arc::new(DyingStore { store, calls: self.calls.clone() }), path))
    }
}

#[derive(Debug)]
struct DyingStore {
    store: ObjectStoreRef,
    calls: Calls,
}

impl fmt::Display for DyingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dying {}", self.store)
    }
}

#[async_trait::async_trait]
impl ObjectStore for DyingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.calls.note();
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.calls.note();
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let calls = self.calls.clone();
        self.store.delete_stream(locations.inspect(move |_| calls.note()).boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.calls.note();
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.calls.note();
        self.store.rename_opts(from, to, options).await
    }
}
