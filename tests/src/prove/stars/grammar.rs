//! Random queries, each with a grain: some of its columns tell its rows apart, by the way it is made.
//!
//! All sources have one schema, so a query is drawn over any of them. Most queries keep to one world: they join,
//! group and number within it, and so stand for a case in each.

use std::collections::BTreeSet;

use super::source::alias;
use crate::prove::dice::Dice;

/// A query, and what is needed to load it as a fact.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) keys: Vec<String>,
    pub(super) sources: BTreeSet<usize>,
    /// Whether rows of different worlds never meet.
    pub(super) by_world: bool,
    pub(super) deletes_hard: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Money,
    Text,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    kind: Kind,
}

/// A query whose first column is `w`, and whose rows `w` and the columns of `key` tell apart.
#[derive(Debug, Clone)]
struct Relation {
    sql: String,
    columns: Vec<Column>,
    key: Vec<Column>,
}

/// Tables joined: the text behind FROM, and the columns that can be used.
struct Joined {
    from: String,
    /// The world of a row.
    world: String,
    columns: Vec<Column>,
    /// Tells its rows apart within a world, or, across worlds, by itself.
    key: Vec<Column>,
    first: String,
}

struct Grammar<'a> {
    dice: &'a mut Dice,
    tables: usize,
    by_world: bool,
    used: BTreeSet<usize>,
    common: Vec<String>,
}

/// Draws a query over `tables` sources.
pub(super) fn draw(dice: &mut Dice, tables: usize) -> Query {
    let by_world = dice.chance(85);
    let deletes_hard = dice.chance(30);
    let mut grammar = Grammar { dice, tables, by_world, used: BTreeSet::new(), common: Vec::new() };
    let relation = grammar.relation(0);
    let with = match grammar.common.is_empty() {
        true => String::new(),
        false => format!("WITH {} ", grammar.common.join(", ")),
    };
    let keys = ["w".to_owned()].into_iter().chain(relation.key.iter().map(|key| key.name.clone())).collect();
    let sources = grammar.used;
    Query { sql: format!("{with}{}", relation.sql), keys, sources, by_world, deletes_hard }
}

impl Grammar<'_> {
    fn relation(&mut self, depth: usize) -> Relation {
        match self.dice.below(100) {
            0..=34 => self.selected(depth),
            35..=59 => self.grouped(depth),
            60..=71 => self.united(depth),
            72..=79 => self.distinct(depth),
            80..=95 => self.windowed(depth),
            _ => self.limited(depth),
        }
    }

    /// A source, or a query in parentheses or as a common table expression.
    fn item(&mut self, depth: usize, name: &str) -> (String, Vec<Column>, Vec<Column>) {
        if depth < 1 && self.by_world && self.dice.chance(20) {
            let relation = self.relation(depth + 1);
            let text = if self.dice.chance(40) {
                let common = format!("q{}", self.common.len());
                self.common.push(format!("{common} AS ({})", relation.sql));
                format!("{common} {name}")
            } else {
                format!("({}) {name}", relation.sql)
            };
            return (text, relation.columns, relation.key);
        }
        let table = self.table();
        let column = |(name, kind): (&str, Kind)| Column { name: name.to_owned(), kind };
        let columns = [
            ("id", Kind::Number),
            ("r", Kind::Number),
            ("p", Kind::Number),
            ("m", Kind::Number),
            ("d", Kind::Money),
            ("s", Kind::Text),
        ];
        let key = vec![column(("id", Kind::Number))];
        (format!("{table} {name}"), columns.map(column).to_vec(), key)
    }

    fn table(&mut self) -> String {
        let table = self.dice.below(self.tables);
        self.used.insert(table);
        alias(table)
    }

    fn joined(&mut self, depth: usize) -> Joined {
        let prefix = ["a", "b", "c"].get(depth).copied().unwrap_or("z");
        let first = format!("{prefix}0");
        let named = |alias: &str, columns: Vec<Column>| -> Vec<Column> {
            columns
                .into_iter()
                .map(|it| Column { name: format!("{alias}.{}", it.name), kind: it.kind })
                .collect()
        };
        let (mut from, columns, key) = self.item(depth, &first);
        let (mut columns, mut key) = (named(&first, columns), named(&first, key));
        let mut worlds = vec![format!("{first}.w")];
        // Across worlds a join of a few values yields many rows.
        let most = if self.by_world { 3 } else { 2 };
        for place in 1..=self.dice.below(most) {
            let name = format!("{prefix}{place}");
            let (text, other, other_key) = self.item(depth, &name);
            let (other, other_key) = (named(&name, other), named(&name, other_key));
            // Only the keys of sources are never NULL, which a full join needs to keep its rows apart.
            let is_plain = place == 1 && !from.contains('(') && !text.contains('(') && !from.starts_with('q');
            let kind = match self.dice.below(10) {
                0..=3 => "JOIN",
                4..=7 => "LEFT JOIN",
                8 if is_plain => "RIGHT JOIN",
                _ if is_plain && !text.starts_with('q') => "FULL JOIN",
                _ => "JOIN",
            };
            let (mine, theirs) = (self.number(&columns), self.number(&other));
            let mut on = vec![format!("{mine} = {theirs}")];
            if self.by_world {
                on.insert(0, format!("{name}.w = {}", worlds.first().cloned().unwrap_or_default()));
            }
            if self.dice.chance(20) {
                let both: Vec<Column> = columns.iter().chain(&other).cloned().collect();
                on.push(self.predicate(&both, 1));
            }
            from = format!("{from} {kind} {text} ON {}", on.join(" AND "));
            worlds.push(format!("{name}.w"));
            columns.extend(other);
            key.extend(other_key);
        }
        if !self.by_world {
            key.extend(worlds.iter().map(|name| Column { name: name.clone(), kind: Kind::Number }));
        }
        let world = match worlds.as_slice() {
            [only] => only.clone(),
            _ => format!("coalesce({})", worlds.join(", ")),
        };
        Joined { from, world, columns, key, first }
    }

    fn selected(&mut self, depth: usize) -> Relation {
        let joined = self.joined(depth);
        let mut outputs = vec![format!("{} AS w", joined.world)];
        let mut columns = Vec::new();
        for (place, key) in joined.key.iter().enumerate() {
            outputs.push(format!("{} AS k{place}", key.name));
            columns.push(Column { name: format!("k{place}"), kind: key.kind });
        }
        let key = columns.clone();
        for place in 0..=self.dice.below(3) {
            let (value, kind) = self.value(&joined.columns);
            outputs.push(format!("{value} AS v{place}"));
            columns.push(Column { name: format!("v{place}"), kind });
        }
        let filter = self.filter(&joined);
        let sql = format!("SELECT {} FROM {}{filter}", outputs.join(", "), joined.from);
        Relation { sql, columns, key }
    }

    fn filter(&mut self, joined: &Joined) -> String {
        let mut parts = Vec::new();
        if self.dice.chance(45) {
            parts.push(self.predicate(&joined.columns, 2));
        }
        if self.dice.chance(20) {
            parts.push(self.subquery(joined));
        }
        if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) }
    }

    fn subquery(&mut self, joined: &Joined) -> String {
        let table = self.table();
        let own = self.number(&joined.columns);
        let world = match self.by_world {
            true => format!("x.w = {}.w AND ", joined.first),
            false => String::new(),
        };
        let column = self.dice.word(&["id", "r", "p"]);
        match self.dice.below(6) {
            0 => format!("{own} IN (SELECT x.{column} FROM {table} x WHERE {world}x.m > 0)"),
            1 => format!("EXISTS (SELECT 1 FROM {table} x WHERE {world}x.{column} = {own})"),
            2 => format!("NOT EXISTS (SELECT 1 FROM {table} x WHERE {world}x.{column} = {own} AND x.m > 0)"),
            // DataFusion knows no NOT IN that looks at the row outside.
            3 if !self.by_world => format!("{own} NOT IN (SELECT x.{column} FROM {table} x WHERE x.m > 2)"),
            4 => format!("(SELECT max(x.m) FROM {table} x WHERE {world}x.{column} = {own}) > 1"),
            _ => format!("(SELECT count(x.m) FROM {table} x WHERE {world}x.{column} = {own}) < 2"),
        }
    }

    fn grouped(&mut self, depth: usize) -> Relation {
        let joined = self.joined(depth);
        let mut groups = vec![joined.world.clone()];
        let mut outputs = vec![format!("{} AS w", joined.world)];
        let mut columns = Vec::new();
        for place in 0..=self.dice.below(2) {
            let (value, kind) = self.value(&joined.columns);
            outputs.push(format!("{value} AS g{place}"));
            columns.push(Column { name: format!("g{place}"), kind });
            groups.push(value);
        }
        let key = columns.clone();
        for place in 0..=self.dice.below(3) {
            let value = self.aggregate(&joined.columns);
            outputs.push(format!("{value} AS v{place}"));
            columns.push(Column { name: format!("v{place}"), kind: Kind::Number });
        }
        let filter = self.filter(&joined);
        let having = match self.dice.chance(30) {
            true => format!(" HAVING {} > {}", self.aggregate(&joined.columns), self.dice.between(0, 3)),
            false => String::new(),
        };
        let (outputs, groups) = (outputs.join(", "), groups.join(", "));
        let sql = format!("SELECT {outputs} FROM {}{filter} GROUP BY {groups}{having}", joined.from);
        Relation { sql, columns, key }
    }

    fn aggregate(&mut self, columns: &[Column]) -> String {
        let number = self.number(columns);
        match self.dice.below(6) {
            0 => "count(*)".to_owned(),
            1 => format!("count({number})"),
            2 => format!("sum({number})"),
            3 => format!("min({number})"),
            4 => format!("max({number})"),
            _ => format!("count(DISTINCT {number})"),
        }
    }

    /// Two queries under each other, each with a mark of its own; where both have numbers as keys.
    fn united(&mut self, depth: usize) -> Relation {
        let parts = [self.selected(depth + 1), self.selected(depth + 1)];
        let width = parts.iter().map(|part| part.key.len()).max().unwrap_or_default();
        let name = |place: usize| format!("k{place}");
        let number = |name: String| Column { name, kind: Kind::Number };
        let mut sqls = Vec::new();
        for (mark, part) in parts.iter().enumerate() {
            if part.key.iter().any(|key| key.kind != Kind::Number) {
                return part.clone();
            }
            let keys = (0..width).map(|place| match part.key.get(place) {
                Some(key) => format!("u.{} AS {}", key.name, name(place)),
                None => format!("CAST(NULL AS BIGINT) AS {}", name(place)),
            });
            let keys: Vec<String> = keys.collect();
            let value = self.number(&part.columns);
            let keys = keys.join(", ");
            let sql = &part.sql;
            sqls.push(format!("SELECT u.w AS w, {mark} AS tag, {keys}, u.{value} AS v FROM ({sql}) u"));
        }
        let key: Vec<Column> = (0..width).map(name).chain(["tag".to_owned()]).map(number).collect();
        let columns = key.iter().cloned().chain([number("v".to_owned())]).collect();
        Relation { sql: sqls.join(" UNION ALL "), columns, key }
    }

    fn distinct(&mut self, depth: usize) -> Relation {
        let joined = self.joined(depth);
        let mut outputs = vec![format!("{} AS w", joined.world)];
        let mut columns = Vec::new();
        for place in 0..=self.dice.below(2) {
            let (value, kind) = self.value(&joined.columns);
            outputs.push(format!("{value} AS k{place}"));
            columns.push(Column { name: format!("k{place}"), kind });
        }
        let filter = self.filter(&joined);
        let sql = format!("SELECT DISTINCT {} FROM {}{filter}", outputs.join(", "), joined.from);
        Relation { sql, key: columns.clone(), columns }
    }

    fn windowed(&mut self, depth: usize) -> Relation {
        let inner = self.selected(depth + 1);
        let listed = |columns: &[Column], prefix: &str| {
            columns.iter().map(|it| format!(", {prefix}.{0} AS {0}", it.name)).collect::<String>()
        };
        let column = self.dice.one(&inner.columns).map(|it| it.name.clone()).unwrap_or_default();
        let partition = match self.by_world {
            true => format!("PARTITION BY u.w, u.{column}"),
            false => format!("PARTITION BY u.{column}"),
        };
        let by = self.dice.one(&inner.columns).map(|it| it.name.clone()).unwrap_or_default();
        let order: String = inner.key.iter().map(|key| format!(", u.{}", key.name)).collect();
        let order = format!("ORDER BY u.{by} DESC{order}, u.w");
        let number = self.number(&inner.columns);
        let value = match self.dice.below(3) {
            0 => format!("row_number() OVER ({partition} {order})"),
            1 => format!("sum(u.{number}) OVER ({partition})"),
            _ => format!("lag(u.{number}) OVER ({partition} {order})"),
        };
        let mut columns = inner.columns.clone();
        let shown = listed(&columns, "u");
        let sql = format!("SELECT u.w AS w{shown}, {value} AS n{depth} FROM ({}) u", inner.sql);
        let filter = self.dice.chance(35);
        let sql = match filter {
            true => format!("SELECT y.w AS w{} FROM ({sql}) y WHERE y.n{depth} <= 2", listed(&columns, "y")),
            false => sql,
        };
        if !filter {
            columns.push(Column { name: format!("n{depth}"), kind: Kind::Number });
        }
        Relation { sql, columns, key: inner.key }
    }

    /// The first rows of an order: nothing but a whole recomputation tells them. Worlds do meet here.
    fn limited(&mut self, depth: usize) -> Relation {
        let inner = self.selected(depth + 1);
        let order: String = inner.key.iter().map(|key| format!(", u.{}", key.name)).collect();
        self.by_world = false;
        Relation { sql: format!("SELECT * FROM ({}) u ORDER BY u.w{order} LIMIT 7", inner.sql), ..inner }
    }

    /// The name of a column that holds numbers.
    fn number(&mut self, columns: &[Column]) -> String {
        let numbers: Vec<&Column> = columns.iter().filter(|it| it.kind == Kind::Number).collect();
        self.dice.one(&numbers).map_or_else(|| "w".to_owned(), |column| column.name.clone())
    }

    fn value(&mut self, columns: &[Column]) -> (String, Kind) {
        let Some(Column { name, kind }) = self.dice.one(columns).cloned() else {
            return ("1".to_owned(), Kind::Number);
        };
        let value = match (kind, self.dice.below(7)) {
            (Kind::Number, 0) => format!("coalesce({name}, -1)"),
            (Kind::Number, 1) => format!("{name} + {}", self.number(columns)),
            (Kind::Number, 2) => {
                format!(
                    "CASE WHEN {} THEN {name} ELSE {} END",
                    self.predicate(columns, 1),
                    self.number(columns)
                )
            }
            (Kind::Number, 3) => format!("{name} % 3"),
            (Kind::Money, 0) => format!("{name} * 2"),
            (Kind::Text, 0) => format!("coalesce({name}, 'z')"),
            (Kind::Text, 1) => format!("upper({name})"),
            _ => name,
        };
        (value, kind)
    }

    fn predicate(&mut self, columns: &[Column], depth: usize) -> String {
        if depth > 0 && self.dice.chance(30) {
            let (left, right) = (self.predicate(columns, depth - 1), self.predicate(columns, depth - 1));
            return format!("({left} {} {right})", self.dice.word(&["AND", "OR"]));
        }
        let Some(Column { name, kind }) = self.dice.one(columns).cloned() else { return "true".to_owned() };
        match (kind, self.dice.below(6)) {
            (_, 0) => format!("{name} IS NULL"),
            (_, 1) => format!("{name} IS NOT NULL"),
            (Kind::Number, 2) => format!("{name} <> {}", self.number(columns)),
            (Kind::Number, 3) => format!("coalesce({name}, 0) <= {}", self.dice.between(0, 4)),
            (Kind::Number, _) => format!("{name} > {}", self.dice.between(-1, 4)),
            (Kind::Money, _) => format!("{name} > 100"),
            (Kind::Text, 2) => format!("{name} IN ('a', 'b')"),
            (Kind::Text, _) => format!("{name} <> 'c'"),
        }
    }
}
