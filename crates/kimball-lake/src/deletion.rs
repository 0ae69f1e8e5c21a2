//! Deletion vectors: which rows of a file no longer count.
//!
//! Format and encoding are those of the Delta protocol, sections "Deletion Vectors" and "Deletion Vector
//! Descriptor Schema"; the kernel's own reader and writer do the work.

use delta_kernel::actions::deletion_vector::DeletionVectorDescriptor as KernelDescriptor;
use delta_kernel::actions::deletion_vector_writer::{KernelDeletionVector, StreamingDeletionVectorWriter};
use deltalake::kernel::{DeletionVectorDescriptor, StorageType};
use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::{LakeError, LakeTable};

impl LakeTable {
    /// Reads the deletion vectors of files, in the order given; empty for a file without one.
    pub(crate) async fn deleted_rows(
        &self,
        vectors: Vec<Option<DeletionVectorDescriptor>>,
    ) -> Result<Vec<RoaringTreemap>, LakeError> {
        if vectors.iter().all(Option::is_none) {
            return Ok(vec![RoaringTreemap::new(); vectors.len()]);
        }
        let table = self.name.clone();
        let failed = move |reason: String| LakeError::DeletionVector { table: table.clone(), reason };
        let storage = self.inner.log_store().engine(None).storage_handler();
        let root = self.root();
        // The kernel reads through a blocking interface.
        let read = tokio::task::spawn_blocking(move || {
            let read_one = |vector: Option<DeletionVectorDescriptor>| match vector {
                None => Ok(RoaringTreemap::new()),
                Some(vector) => KernelDescriptor::try_from(vector)
                    .and_then(|vector| vector.read(storage.clone(), &root))
                    .map_err(|source| source.to_string()),
            };
            vectors.into_iter().map(read_one).collect::<Result<Vec<_>, String>>()
        });
        match read.await {
            Ok(result) => result.map_err(failed),
            Err(stopped) => Err(failed(stopped.to_string())),
        }
    }

    /// Writes one file of deletion vectors and describes each; the order is that of `vectors`.
    pub(crate) async fn write_deleted_rows(
        &self,
        vectors: &[RoaringTreemap],
    ) -> Result<Vec<DeletionVectorDescriptor>, LakeError> {
        let failed = |reason: String| LakeError::DeletionVector { table: self.name.clone(), reason };
        let id = Uuid::from_bytes(*crate::commit::fresh_id().as_bytes());
        let mut bytes = Vec::new();
        let mut writer = StreamingDeletionVectorWriter::new(&mut bytes);
        let mut described = Vec::with_capacity(vectors.len());
        for rows in vectors {
            let mut vector = KernelDeletionVector::new();
            vector.add_deleted_row_indexes(rows.iter());
            let written =
                writer.write_deletion_vector(vector).map_err(|source| failed(source.to_string()))?;
            described.push(DeletionVectorDescriptor {
                storage_type: StorageType::UuidRelativePath,
                path_or_inline_dv: z85::encode(id.as_bytes()),
                offset: Some(written.offset),
                size_in_bytes: written.size_in_bytes,
                cardinality: written.cardinality,
            });
        }
        writer.finalize().map_err(|source| failed(source.to_string()))?;
        let path = deltalake::Path::from(format!("deletion_vector_{id}.bin"));
        let store = self.inner.object_store();
        store
            .put_opts(&path, bytes.into(), Default::default())
            .await
            .map_err(LakeError::stored(&self.name))?;
        Ok(described)
    }

    /// The table's folder, with a slash at its end.
    pub(crate) fn root(&self) -> url::Url {
        let mut root = self.inner.table_url().clone();
        if !root.path().ends_with('/') {
            root.set_path(&format!("{}/", root.path()));
        }
        root
    }
}
