//! A storage whose calls are made again when they fail for a reason that passes.
//!
//! What a failed call did is not known: a write that reported a time-out may have happened. Reads, listings and
//! writes that replace an object are the same when they are made twice. An object that must be new is told from one
//! that another writer made first by what it holds (the idea of slatedb's retrying object store).

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use kimball_retry::{FaultKind, Jitter, RetryBudget, RetryPolicy};
use tokio::time::sleep;
use xxhash_rust::xxh64::xxh64;

use crate::fault::fault_of_store;

/// Attempts after the first at one call. The delays add up to a second or two: what lasts longer is for the retry of the
/// pipeline, which begins after half a minute.
const RETRIES: u32 = 7;
const FIRST_DELAY: Duration = Duration::from_millis(25);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// How storage calls are tried again: a few times each, and no more than a budget for all of them together.
#[derive(Debug, Clone)]
pub(crate) struct StorageRetries {
    policy: RetryPolicy,
    budget: RetryBudget,
}

impl Default for StorageRetries {
    fn default() -> Self {
        Self::drawing_on(RetryBudget::default())
    }
}

impl StorageRetries {
    pub(crate) fn drawing_on(budget: RetryBudget) -> Self {
        let policy = RetryPolicy { max: LONGEST_DELAY, ..RetryPolicy::new(RETRIES, FIRST_DELAY) };
        Self { policy, budget }
    }

    /// Makes a call until it succeeds, fails for good, or has used up its retries.
    async fn call<T, F: Future<Output = Result<T>>>(
        &self,
        place: &Path,
        mut once: impl FnMut() -> F,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let error = match once().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(delay) = self.delay(place, fault_of_store(&error), attempt) else { return Err(error) };
            tracing::debug!(%place, attempt, %error, "a storage call is made again");
            sleep(delay).await;
            attempt += 1;
        }
    }

    /// How long to wait after the `attempt`-th failure; `None` when there is to be no further attempt.
    fn delay(&self, place: &Path, kind: FaultKind, attempt: u32) -> Option<Duration> {
        // A conflict at the storage is the log's business, not a call to be made again.
        if kind != FaultKind::Transient {
            return None;
        }
        let seed = xxh64(place.as_ref().as_bytes(), u64::from(std::process::id()));
        let spread = self.policy.clone().with_jitter(Jitter::Full { seed });
        spread.retry_after(kind, attempt).filter(|_| self.budget.try_spend())
    }
}

/// The storage `store` with its calls made again.
#[derive(Debug)]
pub(crate) struct RetryingStore {
    store: Arc<dyn ObjectStore>,
    retries: StorageRetries,
}

impl RetryingStore {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, retries: StorageRetries) -> Self {
        Self { store, retries }
    }

    /// Whether an object holds exactly `payload`.
    async fn holds(&self, location: &Path, payload: &PutPayload) -> Result<bool> {
        let found = self.retries.call(location, || async { self.store.get(location).await?.bytes().await });
        Ok(found.await? == Bytes::from(payload.clone()))
    }

    /// A listing as one call: what an attempt that failed had listed is forgotten.
    fn listed(
        &self,
        place: Path,
        list: impl Fn(&dyn ObjectStore) -> BoxStream<'static, Result<ObjectMeta>> + Send + Sync + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, retries) = (Arc::clone(&self.store), self.retries.clone());
        let whole = async move {
            let found: Vec<ObjectMeta> = retries.call(&place, || list(store.as_ref()).try_collect()).await?;
            Ok::<_, Error>(stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(whole).try_flatten().boxed()
    }
}

impl fmt::Display for RetryingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.store)
    }
}

#[async_trait::async_trait]
impl ObjectStore for RetryingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = || self.store.put_opts(location, payload.clone(), options.clone());
        match &options.mode {
            PutMode::Overwrite => self.retries.call(location, put).await,
            PutMode::Create => match self.retries.call(location, put).await {
                // An attempt that seemed to fail may have made it.
                Err(Error::AlreadyExists { .. }) if self.holds(location, &payload).await? => {
                    Ok(PutResult { e_tag: None, version: None })
                }
                ended => ended,
            },
            // The condition names what was there before, which an attempt may have replaced.
            PutMode::Update(_) => put().await,
        }
    }

    /// Parts are numbered when they are handed in, so that a failed one cannot be handed in again: the writer of the
    /// object begins anew.
    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.retries.call(location, || self.store.put_multipart_opts(location, options.clone())).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.retries.call(location, || self.store.get_opts(location, options.clone())).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.retries.call(location, || self.store.get_ranges(location, ranges)).await
    }

    /// One by one, as an object that is gone already is deleted.
    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (store, retries) = (Arc::clone(&self.store), self.retries.clone());
        let delete = move |location: Path| {
            let (store, retries) = (Arc::clone(&store), retries.clone());
            async move {
                let mut is_first = true;
                let once = || {
                    let store = Arc::clone(&store);
                    let (location, was_first) = (location.clone(), std::mem::take(&mut is_first));
                    async move {
                        match store.delete(&location).await {
                            Err(Error::NotFound { .. }) if !was_first => Ok(()),
                            ended => ended,
                        }
                    }
                };
                retries.call(&location, once).await.map(|()| location)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.listed(prefix.clone().unwrap_or_default(), move |store| store.list(prefix.as_ref()))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.listed(prefix.clone().unwrap_or_default(), move |store| {
            store.list_with_offset(prefix.as_ref(), &offset)
        })
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let place = prefix.cloned().unwrap_or_default();
        self.retries.call(&place, || self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copy = || self.store.copy_opts(from, to, options.clone());
        match &options.mode {
            CopyMode::Overwrite => self.retries.call(to, copy).await,
            CopyMode::Create => copy().await,
        }
    }

    /// Not made again: an attempt may have taken `from` away.
    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.store.rename_opts(from, to, options).await
    }
}
