//! Draws the ratios as a bar chart, in colors that are readable on white and on dark backgrounds.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::contender::{Contender, Kind};
use crate::error::Result;
use crate::measure::Row;
use crate::report;

type Area<'f> = DrawingArea<SVGBackend<'f>, Shift>;

const WIDTH: u32 = 960;
/// The width of the contenders' names.
const NAMES: i32 = 170;
/// The height of the title and of each size's name, and that of a contender.
const HEAD: i32 = 60;
const LINE: i32 = 24;
/// Longer bars are cut, so that a slow contender does not make all others look alike.
const LONGEST: f64 = 4.0;
/// The space at the end of the longest bar, for its number.
const NUMBER: i32 = 50;

const TEXT: RGBColor = RGBColor(128, 132, 140);
const OURS: RGBColor = RGBColor(212, 98, 24);
const PEER: RGBColor = RGBColor(84, 128, 184);
const REFERENCE: RGBColor = TEXT;

/// Writes an SVG file with a column of bars for each size.
pub fn draw(file: &Path, rows: &[Row], contenders: &[Contender]) -> Result<()> {
    let height = HEAD + LINE * contenders.len() as i32;
    let area = SVGBackend::new(file, (WIDTH, height as u32)).into_drawing_area();
    let title = "CPU time of an echo server per message, as a multiple of a raw TCP echo (less is better)";
    text(&area, title, (0, 14), HPos::Left, 18, TEXT)?;
    let (names, columns) = area.split_horizontally(NAMES);
    for (index, contender) in contenders.iter().enumerate() {
        text(&names, contender.name, (NAMES - 10, middle(index)), HPos::Right, 16, color(contender.kind))?;
    }
    for (column, row) in columns.split_evenly((1, rows.len())).iter().zip(rows) {
        bars(column, row, contenders)?;
    }
    area.present()?;
    Ok(())
}

fn bars(column: &Area<'_>, row: &Row, contenders: &[Contender]) -> Result<()> {
    text(column, &report::name(row.size), (0, HEAD - 18), HPos::Left, 17, TEXT)?;
    let reference = contenders.iter().position(|contender| contender.kind == Kind::Reference).unwrap_or(0);
    let ratios: Vec<_> = row.costs.iter().map(|costs| costs.ratio(&row.costs[reference])).collect();
    let space = f64::from(column.dim_in_pixel().0) - f64::from(NUMBER);
    for (index, (contender, ratio)) in contenders.iter().zip(ratios).enumerate() {
        let (color, middle) = (color(contender.kind), middle(index));
        let end = (space * ratio.min(LONGEST) / LONGEST) as i32;
        let cut = if ratio > LONGEST { 14 } else { 0 };
        column.draw(&Rectangle::new([(0, middle - 8), (end - cut, middle + 8)], color.filled()))?;
        if cut > 0 {
            column.draw(&Rectangle::new([(end - 10, middle - 8), (end, middle + 8)], color.filled()))?;
        }
        text(column, &format!("{ratio:.2}"), (end + 5, middle), HPos::Left, 15, color)?;
    }
    Ok(())
}

fn text(area: &Area<'_>, text: &str, at: (i32, i32), anchor: HPos, size: u32, color: RGBColor) -> Result<()> {
    let style = ("sans-serif", size).into_text_style(area).color(&color).pos(Pos::new(anchor, VPos::Center));
    area.draw_text(text, &style, at)?;
    Ok(())
}

fn middle(index: usize) -> i32 {
    HEAD + LINE * index as i32 + LINE / 2
}

fn color(kind: Kind) -> RGBColor {
    match kind {
        Kind::Reference => REFERENCE,
        Kind::Ours => OURS,
        Kind::Peer => PEER,
    }
}
