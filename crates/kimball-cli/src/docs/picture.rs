//! Pictures as SVG: the pipelines in their waves, and the star of a fact.

use std::collections::BTreeMap;

use kimball::TableName;
use maud::{Markup, html};

use super::pages::{Page, page_of};
use super::site::Site;

const BOX_HEIGHT: usize = 28;
const GAP: usize = 14;
const BETWEEN_COLUMNS: usize = 90;
const TITLE_HEIGHT: usize = 30;
/// About the width of a character, in pixels.
const CHARACTER: usize = 9;
const PADDING: usize = 12;

/// A box with a name in it.
#[derive(Debug, Clone, Copy)]
struct Place {
    left: usize,
    top: usize,
    width: usize,
}

impl Place {
    fn middle(self) -> usize {
        self.top + BOX_HEIGHT / 2
    }

    fn right(self) -> usize {
        self.left + self.width
    }
}

/// Columns of boxes, from left to right.
#[derive(Default)]
struct Layout<'a> {
    places: BTreeMap<&'a TableName, Place>,
    titles: Vec<(usize, String)>,
    width: usize,
    height: usize,
}

impl<'a> Layout<'a> {
    fn column(&mut self, title: &str, tables: &'a [TableName]) {
        if tables.is_empty() {
            return;
        }
        let left = if self.width == 0 { 0 } else { self.width + BETWEEN_COLUMNS };
        let longest = tables.iter().map(|table| table.to_string().chars().count()).max().unwrap_or_default();
        let width = (longest * CHARACTER).max(title.chars().count() * CHARACTER) + 2 * PADDING;
        let mut top = TITLE_HEIGHT;
        for table in tables {
            self.places.insert(table, Place { left, top, width });
            top += BOX_HEIGHT + GAP;
        }
        self.titles.push((left, title.to_owned()));
        self.width = left + width;
        self.height = self.height.max(top);
    }

    fn draw(
        &self,
        site: &Site,
        page: Page,
        arrows: impl Iterator<Item = (&'a TableName, &'a TableName)>,
    ) -> Markup {
        let lines = arrows.filter_map(|(from, to)| Some((*self.places.get(from)?, *self.places.get(to)?)));
        html! {
            svg role="img" width=(self.width + 2) height=(self.height)
                viewBox=(format!("-1 0 {} {}", self.width + 2, self.height)) xmlns="http://www.w3.org/2000/svg" {
                @for (left, title) in &self.titles {
                    text.title x=(left) y="18" { (title) }
                }
                @for (from, to) in lines {
                    path.arrow d=(curve(from, to)) {}
                }
                @for (table, place) in &self.places {
                    @let known = site.tables.iter().find(|known| known.name == **table);
                    @let class = known.map_or("outside", |known| if known.is_fact { "fact" } else { "dimension" });
                    a href=[known.map(|_| page_of(table, page))] {
                        rect class=(class) x=(place.left) y=(place.top) width=(place.width) height=(BOX_HEIGHT) rx="4" {}
                        text x=(place.left + PADDING) y=(place.middle() + 5) { (table) }
                    }
                }
            }
        }
    }
}

/// From the right of one box to the left of another, or around where that lies behind.
fn curve(from: Place, to: Place) -> String {
    let half = BETWEEN_COLUMNS / 2;
    let (left, right) = (from.right(), to.left);
    format!(
        "M{left},{} C{},{} {},{} {right},{}",
        from.middle(),
        left + half,
        from.middle(),
        right.saturating_sub(half),
        to.middle(),
        to.middle()
    )
}

/// All tables in the columns of their waves, what no pipeline writes in front.
pub fn waves(site: &Site) -> Markup {
    let mut layout = Layout::default();
    layout.column("Sources", &site.external);
    for wave in &site.waves {
        layout.column(&wave.title, &wave.tables);
    }
    layout.draw(site, Page::Index, site.arrows.iter().map(|(from, to)| (from, to)))
}

/// A fact between the dimensions that it points at.
pub fn star(site: &Site, fact: &TableName) -> Option<Markup> {
    let (_, roles) = site.bus.facts.iter().find(|(table, _)| table == fact)?;
    let pointed = site.bus.dimensions.iter().zip(roles).filter(|(_, columns)| !columns.is_empty());
    let dimensions: Vec<TableName> = pointed.map(|(dimension, _)| dimension.clone()).collect();
    if dimensions.is_empty() {
        return None;
    }
    let (left, right) = dimensions.split_at(dimensions.len().div_ceil(2));
    let center = [fact.clone()];
    let mut layout = Layout::default();
    layout.column("", left);
    layout.column("", &center);
    layout.column("", right);
    let height = layout.height.saturating_sub(TITLE_HEIGHT + GAP);
    if let Some(place) = layout.places.get_mut(fact) {
        place.top = TITLE_HEIGHT + height.saturating_sub(BOX_HEIGHT) / 2;
    }
    let arrows: Vec<(&TableName, &TableName)> = left
        .iter()
        .map(|dimension| (dimension, fact))
        .chain(right.iter().map(|dimension| (fact, dimension)))
        .collect();
    Some(layout.draw(site, Page::Table, arrows.into_iter()))
}
