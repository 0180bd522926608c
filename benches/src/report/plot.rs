//! Bars with their spread, as SVG.

use std::fmt::Write as _;

use crate::criteria::title;
use crate::peers::{NATIVE, RAW, WSRUN};
use crate::result::{Figure, Outcome};

/// A bar for each peer: the median, with a line from the least to the largest. None if there is nothing to show.
pub(super) fn bars(outcome: &Outcome, figure: Figure) -> Option<String> {
    let rows: Vec<(&str, f64, (f64, f64))> = outcome
        .peers(figure)
        .into_iter()
        .filter_map(|peer| {
            Some((
                peer,
                outcome.median(peer, figure)?.max(0.0),
                outcome.range(peer, figure)?,
            ))
        })
        .collect();
    // One that is far slower than the rest would leave the rest without a visible difference: its bar is cut, and says so.
    let typical = rows.get(rows.len() / 2)?.1;
    let largest = rows.iter().map(|row| row.1).fold(0.0, f64::max);
    let end = largest.min(typical * CUT).max(f64::MIN_POSITIVE) * 1.05;
    let height = TOP + ROW * rows.len() as f64 + 12.0;
    let unit = match is_latency(figure) {
        true => {
            "99 % of messages are back within this time from when they were due; the line is the spread over the rounds"
        }
        false if figure == Figure::IdleBytes => "bytes of memory for each connection",
        false => "CPU time of the server for each; the line is the spread over the rounds",
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\" fill=\"#1c1c1c\">{}</text>\n\
         <text x=\"12\" y=\"42\" fill=\"#606060\">{unit}</text>\n",
        escaped(&outcome.title)
    );
    for (n, (peer, median, (least, most))) in rows.iter().enumerate() {
        let y = TOP + ROW * n as f64;
        let at = |value: f64| LEFT + (value.max(0.0).min(end) / end) * (WIDTH - LEFT - RIGHT);
        let colour = match *peer {
            WSRUN => "#c2410c",
            NATIVE => "#f0a268",
            RAW => "#9ca3af",
            _ => "#5b7ea6",
        };
        let (middle, text) = (y + ROW / 2.0 - 2.0, y + ROW / 2.0 + 3.0);
        let cut = if *median > end { " (bar cut)" } else { "" };
        // Writing to a string does not fail.
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\" fill=\"#1c1c1c\">{}</text>\n\
             <rect x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\n\
             <line x1=\"{:.1}\" y1=\"{middle}\" x2=\"{:.1}\" y2=\"{middle}\" stroke=\"#1c1c1c\"/>\n\
             <text x=\"{:.1}\" y=\"{text}\" fill=\"#1c1c1c\">{}{cut}</text>\n",
            LEFT - 8.0,
            escaped(title(peer)),
            y + 3.0,
            at(*median) - LEFT,
            ROW - 10.0,
            at(*least),
            at(*most),
            at(*median).max(at(*most)) + 6.0,
            shown(*median, figure),
        );
    }
    svg += "</svg>\n";
    Some(svg)
}

/// A figure with a unit that keeps it short.
pub(super) fn shown(value: f64, figure: Figure) -> String {
    if figure == Figure::IdleBytes {
        return if value < 10.0 * 1024.0 {
            format!("{value:.0} B")
        } else {
            format!("{:.1} KiB", value / 1024.0)
        };
    }
    let value = if is_latency(figure) {
        value * 1e3
    } else {
        value
    };
    match value {
        0.0..1e4 => format!("{value:.0} ns"),
        1e4..1e6 => format!("{:.1} µs", value / 1e3),
        _ => format!("{:.2} ms", value / 1e6),
    }
}

/// In microseconds.
fn is_latency(figure: Figure) -> bool {
    figure == Figure::P99Us
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const WIDTH: f64 = 820.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 54.0;
const ROW: f64 = 28.0;
/// A bar longer than so many times the middle one is cut.
const CUT: f64 = 6.0;
