//! Joins where memory is scarce: they sort both sides and hold neither.
//!
//! Semi and anti joins by sorting know few types of keys; others, such as a time with a zone, are an error when equal
//! keys lie in two batches (DataFusion's `compare_join_arrays`). Times are compared as the numbers they are; joins by
//! keys of any other such type hash one side after all.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result as QueryResult;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::cast;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode, SortMergeJoinExec};

/// Gives semi and anti joins by sorting keys that they can compare, or another way.
#[derive(Debug)]
pub(crate) struct ComparableKeys;

impl PhysicalOptimizerRule for ComparableKeys {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> QueryResult<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|plan| match plan.downcast_ref::<SortMergeJoinExec>() {
            Some(join) => match comparable(join)? {
                Some(changed) => Ok(Transformed::yes(changed)),
                None => Ok(Transformed::no(plan)),
            },
            None => Ok(Transformed::no(plan)),
        });
        Ok(changed?.data)
    }

    fn name(&self) -> &str {
        "ComparableKeys"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What a key needs to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    /// To be taken as the number that it is.
    Number,
    /// What cannot be had.
    Hashing,
}

fn need(kind: &DataType) -> Need {
    match kind {
        DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::Decimal128(..)
        | DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(_, None) => Need::Nothing,
        kind if kind.is_integer() => Need::Nothing,
        DataType::Timestamp(_, Some(_)) | DataType::Time64(_) | DataType::Duration(_) => Need::Number,
        // NaN is no value of the comparison of floating-point numbers.
        _ => Need::Hashing,
    }
}

/// The join with keys that can be compared; `None` when it can compare them already.
fn comparable(join: &SortMergeJoinExec) -> QueryResult<Option<Arc<dyn ExecutionPlan>>> {
    // Joins that give pairs compare keys of all types.
    if matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full) {
        return Ok(None);
    }
    let (left, right) = (join.left.schema(), join.right.schema());
    let needs = join.on.iter().map(|(key, _)| Ok(need(&key.data_type(&left)?)));
    let needs = needs.collect::<QueryResult<Vec<Need>>>()?;
    match needs.iter().max() {
        None | Some(Need::Nothing) => Ok(None),
        Some(Need::Number) => {
            let numbered = |(own, other): &(PhysicalExprRef, PhysicalExprRef), need: &Need| match need {
                Need::Number => Ok((number(own, &left)?, number(other, &right)?)),
                _ => Ok((Arc::clone(own), Arc::clone(other))),
            };
            let on = join.on.iter().zip(&needs).map(|(keys, need)| numbered(keys, need));
            let changed = SortMergeJoinExec::try_new(
                Arc::clone(&join.left),
                Arc::clone(&join.right),
                on.collect::<QueryResult<_>>()?,
                join.filter.clone(),
                join.join_type,
                join.sort_options.clone(),
                join.null_equality,
            )?;
            Ok(Some(Arc::new(changed)))
        }
        Some(Need::Hashing) => {
            let is_null_aware = false;
            let changed = HashJoinExec::try_new(
                Arc::clone(&join.left),
                Arc::clone(&join.right),
                join.on.clone(),
                join.filter.clone(),
                &join.join_type,
                None,
                PartitionMode::Auto,
                join.null_equality,
                is_null_aware,
            )?;
            Ok(Some(Arc::new(changed)))
        }
    }
}

fn number(key: &PhysicalExprRef, schema: &Schema) -> QueryResult<PhysicalExprRef> {
    cast(Arc::clone(key), schema, DataType::Int64)
}
