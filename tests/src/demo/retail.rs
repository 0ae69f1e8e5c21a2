//! The tables of the source: TPC-H, with the time of the last change where a dimension keeps history.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchReader, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

/// The column that says since when a row is as it is.
pub(super) const UPDATED_AT: &str = "updated_at";

/// 1992-01-01 00:00:00 UTC in microseconds since 1970: the first day on which TPC-H's customers order.
const FIRST_DAY_MICROS: i64 = 694_224_000_000_000;

/// What the generator makes, batch by batch.
type Generated = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

/// One table of the source.
pub(super) struct RetailTable {
    /// Its name in the schema `tpch`.
    pub(super) name: &'static str,
    /// Its columns as stored.
    pub(super) schema: SchemaRef,
    generated: Generated,
}

impl RetailTable {
    fn new(name: &'static str, generated: impl RecordBatchReader + 'static) -> Self {
        let mut fields: Vec<Field> = generated
            .schema()
            .fields()
            .iter()
            .map(|field| Field::new(field.name(), stored(field), true))
            .collect();
        if ["customer", "supplier"].contains(&name) {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            fields.push(Field::new(UPDATED_AT, micros, true));
        }
        Self { name, schema: Arc::new(Schema::new(fields)), generated: Box::new(generated) }
    }

    /// The rows, batch by batch, made as they are asked for.
    pub(super) fn batches(self) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
        let Self { schema, generated, .. } = self;
        generated.map(move |batch| as_stored(&batch?, &schema))
    }
}

/// The tables at a scale, small ones first.
pub(super) fn tables(scale: f64) -> Vec<RetailTable> {
    vec![
        RetailTable::new("region", RegionArrow::new(RegionGenerator::new(scale, 1, 1))),
        RetailTable::new("nation", NationArrow::new(NationGenerator::new(scale, 1, 1))),
        RetailTable::new("supplier", SupplierArrow::new(SupplierGenerator::new(scale, 1, 1))),
        RetailTable::new("customer", CustomerArrow::new(CustomerGenerator::new(scale, 1, 1))),
        RetailTable::new("part", PartArrow::new(PartGenerator::new(scale, 1, 1))),
        RetailTable::new("partsupp", PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1))),
        RetailTable::new("orders", OrderArrow::new(OrderGenerator::new(scale, 1, 1))),
        RetailTable::new("lineitem", LineItemArrow::new(LineItemGenerator::new(scale, 1, 1))),
    ]
}

/// Delta knows one kind of text.
fn stored(field: &Field) -> DataType {
    match field.data_type() {
        DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    }
}

fn as_stored(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        columns.push(cast(column, field.data_type())?);
    }
    if columns.len() < schema.fields().len() {
        let since = TimestampMicrosecondArray::from_value(FIRST_DAY_MICROS, batch.num_rows());
        columns.push(Arc::new(since.with_timezone("UTC")));
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
}

#[cfg(test)]
mod tests {
    use super::{UPDATED_AT, tables};

    #[test]
    fn the_tables_have_the_sizes_of_their_scale_and_histories_have_their_time() {
        let mut sizes = Vec::new();
        for table in tables(0.01) {
            let (name, stamped) = (table.name, table.schema.column_with_name(UPDATED_AT).is_some());
            assert_eq!(stamped, ["customer", "supplier"].contains(&name), "{name}");
            sizes.push((name, table.batches().map(|batch| batch.unwrap().num_rows()).sum::<usize>()));
        }
        let expected = [
            ("region", 5),
            ("nation", 25),
            ("supplier", 100),
            ("customer", 1_500),
            ("part", 2_000),
            ("partsupp", 8_000),
            ("orders", 15_000),
            ("lineitem", 60_175),
        ];
        assert_eq!(sizes, expected);
    }
}
