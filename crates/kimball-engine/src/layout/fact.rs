//! The columns of a fact: what its configuration names has to be there.

use arrow::datatypes::{DataType, Field};
use kimball_config::{Additivity, Aggregation, Fact, FactPattern, Measure};

use super::{Computed, Layout, Role, sql_name};
use crate::EngineError;

fn milestones(fact: &Fact) -> impl Iterator<Item = &str> {
    let milestones = match &fact.pattern {
        FactPattern::AccumulatingSnapshot { milestones } => milestones.as_slice(),
        FactPattern::Transaction | FactPattern::PeriodicSnapshot => &[],
    };
    milestones.iter().map(|milestone| milestone.column.as_str())
}

impl Layout {
    pub(super) fn take_fact(&mut self, fact: &Fact) -> Result<(), EngineError> {
        self.keys.clone_from(&fact.merge_keys);
        self.take_foreign_keys(fact)?;
        for junk in &fact.junk_dimensions {
            self.require("junk dimension column", &junk.columns)?;
            if let Some(milestone) =
                milestones(fact).find(|column| junk.columns.iter().any(|own| own == column))
            {
                return Err(EngineError::Config(format!(
                    "`{milestone}` is a milestone, which is kept when the source loses it: it cannot be a column of \
                     the junk dimension {}",
                    junk.table
                )));
            }
            self.add(
                &junk.surrogate_key,
                Role::JunkKey(junk.columns.clone()),
                "it is the key of a junk dimension",
            )?;
        }
        if let FactPattern::AccumulatingSnapshot { milestones } = &fact.pattern {
            for milestone in milestones {
                self.require("milestone", std::slice::from_ref(&milestone.column))?;
            }
            for (before, milestone) in milestones.iter().zip(milestones.iter().skip(1)) {
                if let Some(lag) = &milestone.lag_column {
                    self.require_day(&before.column)?;
                    self.require_day(&milestone.column)?;
                    let role = Role::Lag { from: before.column.clone(), to: milestone.column.clone() };
                    self.add(lag, role, "it is the lag of a milestone")?;
                }
            }
        }
        self.require("degenerate dimension", &fact.degenerate_dimensions)?;
        self.require("partition column", &fact.partition_by)?;
        for measure in &fact.measures {
            self.take_measure(measure)?;
        }
        self.require("merge key", &self.keys)
    }

    fn take_foreign_keys(&mut self, fact: &Fact) -> Result<(), EngineError> {
        for key in &fact.foreign_keys {
            let Some(lookup) = &key.lookup else {
                self.require("foreign key", std::slice::from_ref(&key.column))?;
                continue;
            };
            let durable = key.durable.as_ref().map(|durable| &durable.column);
            for column in [&key.column].into_iter().chain(durable) {
                self.forbid(column, "it is a foreign key with a lookup, which the engine finds")?;
                self.looked_up.push(column.clone());
            }
            self.require("lookup column", &lookup.source_columns)?;
            self.require("event_time", lookup.event_time.as_slice())?;
        }
        Ok(())
    }

    fn add(&mut self, column: &str, role: Role, taken: &'static str) -> Result<(), EngineError> {
        self.forbid(column, taken)?;
        self.computed.push(Computed { column: column.to_owned(), kind: DataType::Int64, role });
        Ok(())
    }

    /// A measure that is declared to be summed or averaged is a number, and what it cannot be added along is there.
    fn take_measure(&self, measure: &Measure) -> Result<(), EngineError> {
        self.require("measure", std::slice::from_ref(&measure.column))?;
        if let Additivity::SemiAdditive(along) = &measure.additivity {
            self.require("non-additive dimension", along)?;
        }
        let counts = matches!(
            measure.aggregation,
            Some(Aggregation::Count | Aggregation::CountDistinct | Aggregation::Min | Aggregation::Max)
        );
        let adds = measure.additivity != Additivity::NonAdditive
            || matches!(measure.aggregation, Some(Aggregation::Sum | Aggregation::Avg));
        let kind = self.kind_of(&measure.column);
        match kind {
            Some(kind) if adds && !counts && !kind.is_numeric() => Err(EngineError::Config(format!(
                "measure `{}` is declared to be added up, but it is {}",
                measure.column,
                sql_name(kind)
            ))),
            _ => Ok(()),
        }
    }

    fn require_day(&self, column: &str) -> Result<(), EngineError> {
        match self.kind_of(column) {
            Some(DataType::Date32 | DataType::Timestamp(_, _)) => Ok(()),
            _ => Err(EngineError::Config(format!(
                "milestone `{column}` has a lag: it has to be a DATE or TIMESTAMP column of the query's output"
            ))),
        }
    }

    fn kind_of(&self, column: &str) -> Option<&DataType> {
        self.output.iter().find(|field| field.name() == column).map(Field::data_type)
    }
}
