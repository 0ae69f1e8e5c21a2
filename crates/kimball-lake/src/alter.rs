//! Changes of a table's columns, descriptions, properties and protocol, made by the commit that needs them.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use delta_kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::DeltaTableError;
use deltalake::kernel::{Action, Metadata, Protocol, StructType};
use serde_json::{Map, Value, json};

use crate::schema::written_schema;
use crate::table::{CHANGE_FEED, DELETION_VECTORS, describe, is_true};
use crate::{LakeError, LakeTable, NewTable};

/// Properties that need a feature of the protocol, with the feature, and whether readers need it, too.
const FEATURES: [(&str, &str, bool); 2] =
    [(DELETION_VECTORS, "deletionVectors", true), (CHANGE_FEED, "changeDataFeed", false)];
/// Delta protocol, "Table Features": the versions from which features are listed by name.
const NAMED_READER_FEATURES: u64 = 3;
const NAMED_WRITER_FEATURES: u64 = 7;
/// Delta protocol, "Legacy features": which writer version brought what.
const LEGACY_FEATURES: [(u64, &str); 7] = [
    (2, "appendOnly"),
    (2, "invariants"),
    (3, "checkConstraints"),
    (4, "changeDataFeed"),
    (4, "generatedColumns"),
    (5, "columnMapping"),
    (6, "identityColumns"),
];

/// What a commit changes of a table besides its rows.
#[derive(Debug, Clone)]
pub struct Alteration {
    /// The columns that the table has afterwards.
    pub(crate) columns: SchemaRef,
    metadata: Metadata,
    protocol: Option<Protocol>,
}

impl Alteration {
    /// The value of a table property afterwards.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.metadata.configuration().get(name).map(String::as_str)
    }

    pub(crate) fn into_actions(self) -> Vec<Action> {
        let protocol = self.protocol.map(Action::Protocol);
        protocol.into_iter().chain([Action::Metadata(self.metadata)]).collect()
    }
}

impl LakeTable {
    /// What has to change so that the table has the columns of `schema` and is as `wanted`; `None` when it is so
    /// already. Descriptions and properties that `wanted` does not name stay, partition columns always do, and so do
    /// timestamps without a zone: they are read in UTC.
    ///
    /// # Errors
    /// [`LakeError::UnsupportedType`] for a column that Delta cannot store.
    pub fn alteration(&self, schema: &Schema, wanted: &NewTable) -> Result<Option<Alteration>, LakeError> {
        let delta = |source| LakeError::Delta { table: self.name.clone(), source: Box::new(source) };
        let stored = self.snapshot()?.metadata();
        let mut changed = as_map(stored).map_err(delta)?;
        let before = changed.clone();
        let described = describe(&self.kept(schema)?, &wanted.column_descriptions);
        let columns: StructType =
            (&described).try_into_kernel().map_err(|source: arrow::error::ArrowError| {
                LakeError::UnsupportedType { column: self.name.clone(), found: source.to_string() }
            })?;
        // Compared as columns: the text may be spelled otherwise by another writer.
        if stored.parse_schema().map_err(|source| delta(source.into()))? != columns {
            changed.insert("schemaString".to_owned(), Value::String(text(&columns).map_err(delta)?));
        }
        if let Some(description) = &wanted.description {
            changed.insert("description".to_owned(), json!(description));
        }
        let properties = changed.entry("configuration").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.extend(wanted.properties.iter().map(|(key, value)| (key.clone(), json!(value))));
        }
        if changed == before {
            return Ok(None);
        }
        let metadata = serde_json::from_value(Value::Object(changed))
            .map_err(|source| delta(DeltaTableError::SerializeLogJson { json_err: source }))?;
        Ok(Some(Alteration { columns: Arc::new(described), metadata, protocol: self.protocol_for(wanted)? }))
    }

    /// The columns of `schema` as the table keeps them: with the descriptions that it has for them, and without a zone
    /// where they are stored so.
    fn kept(&self, schema: &Schema) -> Result<Schema, LakeError> {
        let stored = self.schema()?;
        let written = written_schema(schema, &stored);
        let fields = written.fields().iter().map(|field| match stored.field_with_name(field.name()) {
            Ok(old) => field.as_ref().clone().with_metadata(old.metadata().clone()),
            Err(_) => field.as_ref().clone(),
        });
        Ok(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// A protocol under which the wanted properties hold, where the table has another.
    fn protocol_for(&self, wanted: &NewTable) -> Result<Option<Protocol>, LakeError> {
        let delta = |source| LakeError::Delta { table: self.name.clone(), source: Box::new(source) };
        let stored = as_map(self.snapshot()?.protocol()).map_err(delta)?;
        let is_on = |property: &str| wanted.properties.get(property).is_some_and(|value| is_true(value));
        let needed = FEATURES.iter().filter(|(property, ..)| is_on(property));
        let is_there = |(_, feature, reads): &&(&str, &str, bool)| {
            has(&stored, "writerFeatures", feature) && (!reads || has(&stored, "readerFeatures", feature))
        };
        if needed.clone().all(|needed| is_there(&needed)) {
            return Ok(None);
        }
        let number = |key: &str| stored.get(key).and_then(Value::as_u64).unwrap_or(1);
        let (reader, writer) = (number("minReaderVersion"), number("minWriterVersion"));
        let mut reader_features = listed(&stored, "readerFeatures");
        let mut writer_features = listed(&stored, "writerFeatures");
        if writer < NAMED_WRITER_FEATURES {
            let legacy = LEGACY_FEATURES.iter().filter(|(since, _)| *since <= writer);
            writer_features.extend(legacy.map(|(_, feature)| (*feature).to_owned()));
        }
        if (2..NAMED_READER_FEATURES).contains(&reader) {
            reader_features.push("columnMapping".to_owned());
        }
        for (_, feature, reads) in needed {
            writer_features.push((*feature).to_owned());
            reader_features.extend(reads.then(|| (*feature).to_owned()));
        }
        for features in [&mut reader_features, &mut writer_features] {
            features.sort();
            features.dedup();
        }
        let protocol = json!({
            "minReaderVersion": NAMED_READER_FEATURES,
            "minWriterVersion": NAMED_WRITER_FEATURES,
            "readerFeatures": reader_features,
            "writerFeatures": writer_features,
        });
        let protocol = serde_json::from_value(protocol);
        protocol.map(Some).map_err(|source| delta(DeltaTableError::SerializeLogJson { json_err: source }))
    }
}

fn as_map(action: &impl serde::Serialize) -> Result<Map<String, Value>, DeltaTableError> {
    let value = serde_json::to_value(action)
        .map_err(|source| DeltaTableError::SerializeLogJson { json_err: source })?;
    Ok(match value {
        Value::Object(map) => map,
        _ => Map::new(),
    })
}

fn text(columns: &StructType) -> Result<String, DeltaTableError> {
    serde_json::to_string(columns).map_err(|source| DeltaTableError::SerializeLogJson { json_err: source })
}

fn listed(protocol: &Map<String, Value>, key: &str) -> Vec<String> {
    let features = protocol.get(key).and_then(Value::as_array);
    features.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn has(protocol: &Map<String, Value>, key: &str, feature: &str) -> bool {
    listed(protocol, key).iter().any(|listed| listed == feature)
}
