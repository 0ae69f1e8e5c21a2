//! Delta Lake tables as an engine needs them: names that cannot leave the warehouse, reads pinned to
//! a version, change feeds, rows with an address, and one atomic commit.
//!
//! This is the only crate that names the storage libraries. It knows nothing of dimensions and facts:
//! its vocabulary is tables, rows, files, commits and application transactions.

mod alter;
mod bad_file;
mod changes;
mod commit;
mod compact;
mod copy_on_write;
mod damage;
mod deletion;
mod error;
mod fault;
mod feed;
mod files;
mod live;
mod location;
mod page_reader;
mod partition;
mod rechecked;
mod retrying;
mod scan;
mod schema;
mod shared;
mod table;
mod transactions;
mod travel;
mod upkeep;
mod vacuum;
mod words;
mod write;

pub use alter::Alteration;
pub use commit::{Commit, CommitOutcome, RowRemovals};
pub use compact::{Compacted, Wear};
pub use error::LakeError;
pub use fault::fault_of;
pub use feed::{CHANGE_TYPE, COMMIT_TIMESTAMP, COMMIT_VERSION};
pub use files::{FileFormat, FileSource};
pub use live::{FILE_COLUMN, LiveRows, ROW_COLUMN};
pub use location::{TableId, Warehouse};
pub use schema::{read_schema, read_type, stored_schema};
pub use shared::{SharedTable, Swap};
pub use table::{LakeTable, NewTable};
pub use travel::{AsOf, CommitRecord};
pub use vacuum::{Vacuum, Vacuumed};
pub use words::{BadValue, bad_value, in_words, sql_name, with_sql_types};
pub use write::{DataFile, DataFileWriter};
