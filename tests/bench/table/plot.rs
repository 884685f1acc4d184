//! The plot: throughput and p99 against connections, both axes logarithmic.

use std::{fs, path::Path};

use plotters::{coord::Shift, prelude::*};

/// One server's line: connections, requests a second, p99 in milliseconds.
pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64, f64)>,
}

const SIZE: (u32, u32) = (960, 420);
const COLOURS: [RGBColor; 3] = [RGBColor(0, 90, 170), RGBColor(120, 120, 120), RGBColor(200, 90, 0)];

/// Writes the plot as SVG.
pub fn write(curves: &[Curve], path: &Path) {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE).unwrap();
        let (left, right) = area.split_horizontally(SIZE.0 / 2);
        panel(&left, "requests a second", curves, |point| point.1);
        panel(&right, "p99, ms", curves, |point| point.2);
        area.present().unwrap();
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(path, text).unwrap();
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    curves: &[Curve],
    value: fn(&(f64, f64, f64)) -> f64,
) {
    let all = || curves.iter().flat_map(|curve| curve.points.iter().map(value));
    let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN_POSITIVE, f64::max));
    // Whole decades, whose lines are labelled without crowding.
    let (low, high) = (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(38)
        .y_label_area_size(62)
        .build_cartesian_2d((0.9..1200.0).log_scale(), (low..high).log_scale())
        .unwrap();
    chart
        .configure_mesh()
        .x_desc("keep-alive connections")
        .light_line_style(WHITE)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| if *y < 1.0 { format!("{y:.2}") } else { super::report::thousands(*y) })
        .draw()
        .unwrap();
    for (curve, colour) in curves.iter().zip(COLOURS) {
        let points: Vec<(f64, f64)> = curve.points.iter().map(|point| (point.0, value(point))).collect();
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
            .unwrap()
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled()))).unwrap();
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()
        .unwrap();
}
