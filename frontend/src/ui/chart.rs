//! Charts as SVG: bars and lines over hours. A table with the same numbers is there for screen
//! readers; the picture itself is decoration.

use leptos::prelude::*;

use crate::format;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 40.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;

/// One place on the time axis with two numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Words below the axis.
    pub label: String,
    /// The good number.
    pub good: i64,
    /// The bad number.
    pub bad: i64,
}

/// The smallest of 4, 10, 20, 40, 100 … that is not below `highest`.
fn ceiling(highest: i64) -> i64 {
    let mut step = 1;
    loop {
        for factor in [4, 10, 20] {
            if step * factor >= highest {
                return step * factor;
            }
        }
        if step > i64::MAX / 200 {
            return i64::MAX;
        }
        step *= 10;
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a picture has fewer pixels than a float has digits"
)]
fn y(value: i64, top: i64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value as f64 / top.max(1) as f64)
}

#[expect(clippy::cast_precision_loss, reason = "a few dozen places")]
fn place(n: usize, of: usize) -> (f64, f64) {
    let width = (WIDTH - LEFT) / of.max(1) as f64;
    (LEFT + width * n as f64, width)
}

fn axes(points: &[Point], top: i64) -> AnyView {
    let lines = [0, top / 2, top]
        .into_iter()
        .map(|value| {
            let at = y(value, top);
            view! {
                <line class="grid" x1=LEFT x2=WIDTH y1=at y2=at />
                <text class="axis" x=LEFT - 8.0 y=at + 4.0 text-anchor="end">
                    {format::count(value)}
                </text>
            }
        })
        .collect_view();
    let every = (points.len() / 6).max(1);
    let labels = points
        .iter()
        .enumerate()
        .filter(|(n, _)| n % every == 0)
        .map(|(n, point)| {
            let (x, width) = place(n, points.len());
            view! {
                <text class="axis" x=x + width / 2.0 y=HEIGHT - 6.0 text-anchor="middle">
                    {point.label.clone()}
                </text>
            }
        })
        .collect_view();
    view! { {lines} {labels} }.into_any()
}

fn table(label: &str, names: (&'static str, &'static str), points: &[Point]) -> AnyView {
    view! {
        <table class="visually-hidden">
            <caption>{label.to_owned()}</caption>
            <thead>
                <tr>
                    <th scope="col">"Hour"</th>
                    <th scope="col">{names.0}</th>
                    <th scope="col">{names.1}</th>
                </tr>
            </thead>
            <tbody>
                {points
                    .iter()
                    .map(|point| {
                        view! {
                            <tr>
                                <th scope="row">{point.label.clone()}</th>
                                <td>{point.good}</td>
                                <td>{point.bad}</td>
                            </tr>
                        }
                    })
                    .collect_view()}
            </tbody>
        </table>
    }
    .into_any()
}

/// Bars, the bad number on top of the good one.
#[component]
pub fn Bars(
    /// What it shows.
    #[prop(into)]
    label: String,
    /// Names of the good and the bad number.
    names: (&'static str, &'static str),
    /// The places.
    points: Vec<Point>,
) -> impl IntoView {
    let highest = points.iter().map(|p| p.good + p.bad).max().unwrap_or(0);
    let top = ceiling(highest);
    let floor = y(0, top);
    let bars = points
        .iter()
        .enumerate()
        .map(|(n, point)| {
            let (x, width) = place(n, points.len());
            let (good, both) = (y(point.good, top), y(point.good + point.bad, top));
            let (x, width) = (x + width * 0.18, width * 0.64);
            view! {
                <g>
                    <title>
                        {format!(
                            "{}: {} {}, {} {}",
                            point.label,
                            point.good,
                            names.0.to_ascii_lowercase(),
                            point.bad,
                            names.1.to_ascii_lowercase(),
                        )}
                    </title>
                    <rect class="bar-good" x=x y=good width=width height=floor - good rx="1.5" />
                    <rect class="bar-bad" x=x y=both width=width height=good - both rx="1.5" />
                </g>
            }
        })
        .collect_view();
    view! {
        <div>
            <svg class="chart" viewBox=format!("0 0 {WIDTH} {HEIGHT}") aria-hidden="true">
                {axes(&points, top)}
                {bars}
            </svg>
            {table(&label, names, &points)}
        </div>
    }
    .into_any()
}

/// Two lines.
#[component]
pub fn Lines(
    /// What it shows.
    #[prop(into)]
    label: String,
    /// Names of the good and the bad number.
    names: (&'static str, &'static str),
    /// The places.
    points: Vec<Point>,
) -> impl IntoView {
    let highest = points.iter().map(|p| p.good.max(p.bad)).max().unwrap_or(0);
    let top = ceiling(highest);
    let path = |value: fn(&Point) -> i64| {
        points
            .iter()
            .enumerate()
            .map(|(n, point)| {
                let (x, width) = place(n, points.len());
                let mark = if n == 0 { 'M' } else { 'L' };
                format!("{mark}{:.1} {:.1}", x + width / 2.0, y(value(point), top))
            })
            .collect::<String>()
    };
    view! {
        <div>
            <svg class="chart" viewBox=format!("0 0 {WIDTH} {HEIGHT}") aria-hidden="true">
                {axes(&points, top)}
                <path class="line-bad" d=path(|p| p.bad) />
                <path class="line-good" d=path(|p| p.good) />
            </svg>
            {table(&label, names, &points)}
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_an_even_round_number() {
        for (highest, top) in [
            (0, 4),
            (4, 4),
            (5, 10),
            (11, 20),
            (21, 40),
            (90, 100),
            (101, 200),
        ] {
            assert_eq!(ceiling(highest), top);
        }
        assert!(ceiling(i64::MAX) >= i64::MAX / 20);
    }
}
