//! The metrics page (contract §11), in the Prometheus text format 0.0.4. No label holds a name, address or token.

use std::{fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, prometheus_text},
    metrics::MetricType,
    registry::Registry,
};

use super::routes::{ROUTES, Route};
use crate::{
    domain::{DueCounts, Timestamp},
    stats::{Counter, Histogram, MICROS, Reading},
    vault::{Gauges, OpenGauges, Rejected},
};

/// The content type of the text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The statuses with a counter of their own; the last entry counts every other status.
const STATUSES: [u16; 21] =
    [200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 429, 431, 500, 502, 503, 504, 0];

/// Counts and durations of requests, in the order of [`ROUTES`]; the last entry is for requests without a route.
pub(super) struct Metrics(Vec<OfRoute>);

struct OfRoute {
    statuses: [Counter; STATUSES.len()],
    micros: Histogram<16>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let of_route = || OfRoute {
            statuses: [const { Counter::new() }; STATUSES.len()],
            micros: Histogram::new(MICROS),
        };
        Self((0..=ROUTES.len()).map(|_| of_route()).collect())
    }

    pub(super) fn observe(&self, route: Option<&'static Route>, status: u16, took: Duration) {
        let of_route = self.of(route);
        let status = STATUSES.iter().position(|one| *one == status).unwrap_or(STATUSES.len() - 1);
        of_route.statuses[status].add(1);
        of_route.micros.observe_micros(took);
    }

    /// Returns how many requests of a route succeeded so far.
    pub(super) fn succeeded(&self, route: &'static Route) -> u64 {
        let statuses = STATUSES.iter().zip(&self.of(Some(route)).statuses);
        statuses.filter(|(status, _)| (200..400).contains(*status)).map(|(_, count)| count.read()).sum()
    }

    fn of(&self, route: Option<&'static Route>) -> &OfRoute {
        let at = route.and_then(|route| ROUTES.iter().position(|one| std::ptr::eq(one, route)));
        &self.0[at.unwrap_or(ROUTES.len())]
    }

    /// Renders the metrics page.
    pub(super) fn page(
        &self,
        gauges: Gauges,
        rejected: Rejected,
        uptime_secs: u64,
        tls_end: Option<Timestamp>,
    ) -> String {
        let requests = self.0.iter().enumerate().flat_map(|(at, of_route)| {
            let statuses = STATUSES.iter().zip(&of_route.statuses);
            let counted = statuses.map(|(status, count)| (*status, count.read()));
            counted.filter(|(_, count)| *count > 0).map(move |(status, count)| (names(at), status, count))
        });
        let durations = self.0.iter().enumerate().map(|(at, of_route)| (names(at), of_route.micros.read()));
        let page = Page {
            requests: requests.collect(),
            durations: durations.filter(|(_, reading)| reading.count() > 0).collect(),
            gauges,
            rejected,
            uptime_secs,
            tls_end,
        };
        let mut registry = Registry::with_prefix("sealroom");
        registry.register_collector(Box::new(page));
        let mut text = String::with_capacity(16 * 1024);
        prometheus_text::encode(&mut text, &registry).expect("writing into a String cannot fail");
        text
    }
}

/// Returns the method and the path of the route at this index.
fn names(at: usize) -> (&'static str, &'static str) {
    ROUTES.get(at).map_or(("", "none"), |route| (route.method, route.path))
}

#[derive(Debug)]
struct Page {
    requests: Vec<((&'static str, &'static str), u16, u64)>,
    durations: Vec<((&'static str, &'static str), Reading)>,
    gauges: Gauges,
    rejected: Rejected,
    uptime_secs: u64,
    /// The end of the listener's certificate.
    tls_end: Option<Timestamp>,
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.http(&mut encoder)?;
        self.host(&mut encoder)?;
        match &self.gauges.open {
            Some(open) => encode_open(&mut encoder, open),
            None => Ok(()),
        }
    }
}

impl Page {
    fn http(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests by method, route and status; status 0 stands for any status not listed";
        let mut requests = encoder.encode_descriptor("http_requests", help, None, MetricType::Counter)?;
        for ((method, route), status, count) in &self.requests {
            let status = status.to_string();
            let labels = [("method", *method), ("route", *route), ("status", status.as_str())];
            requests.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(count, None)?;
        }
        let help = "Seconds from the end of the request headers to the response, by method and route";
        let name = "http_request_duration_seconds";
        let mut durations = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for ((method, route), reading) in &self.durations {
            let labels = [("method", *method), ("route", *route)];
            let (sum, buckets) = in_seconds(reading);
            durations.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                sum,
                reading.count(),
                &buckets,
                None,
            )?;
        }
        let help = "Rejected authentications: requests without a valid token, and failed logins";
        let name = "rejected_authentications";
        let mut rejected = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (kind, count) in [("token", self.rejected.tokens), ("login", self.rejected.logins)] {
            let labels = [("kind", kind)];
            rejected.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        let help = "Tokens of GitHub Apps: minted by the provider, disclosed again, or not obtained";
        let mut tokens = encoder.encode_descriptor("provider_tokens", help, None, MetricType::Counter)?;
        let mints = &self.gauges.mints;
        for (kind, count) in [("minted", mints.minted), ("reused", mints.reused), ("failed", mints.failed)] {
            let labels = [("outcome", kind)];
            tokens.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        let (sum, buckets) = in_seconds(&mints.micros);
        encoder
            .encode_descriptor(
                "provider_call_duration_seconds",
                "Seconds that the provider took for a token, or to refuse it",
                None,
                MetricType::Histogram,
            )?
            .encode_histogram::<NoLabelSet>(sum, mints.micros.count(), &buckets, None)?;
        let held = self.gauges.answer_bytes;
        gauge(
            encoder,
            "answers_in_flight_bytes",
            "Bytes of credentials in answers that are not sent yet",
            held,
        )?;
        let help = "Requests refused because their caller was over its budget";
        encoder
            .encode_descriptor("requests_over_budget", help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&self.gauges.over_budget, None)?;
        let help = "Alarms: reads of credentials that nobody has a reason to read";
        encoder
            .encode_descriptor("read_alarms", help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&self.gauges.canary_reads, None)?;
        let help = "Notices to the webhook and the command of the settings";
        let mut notices = encoder.encode_descriptor("notices", help, None, MetricType::Counter)?;
        for (outcome, count) in ["failed", "delivered"].iter().zip(&self.gauges.notices) {
            let labels = [("outcome", *outcome)];
            notices.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(count, None)?;
        }
        let help = "Password verifications (Argon2 runs)";
        encoder
            .encode_descriptor("password_checks", help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, f64>(&self.gauges.password_runs, None)
    }

    fn host(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        encoder
            .encode_descriptor("build_info", "Version of the running binary", None, MetricType::Gauge)?
            .encode_family(&version)?
            .encode_gauge(&1_u64)?;
        let locked = u64::from(self.gauges.open.is_none());
        let failing = u64::from(self.gauges.open.as_ref().is_none_or(|open| open.is_failing));
        gauge(encoder, "uptime_seconds", "Seconds since the server started", self.uptime_secs)?;
        gauge(encoder, "locked", "1 while the vault is locked", locked)?;
        gauge(encoder, "audit_writable", "1 while the audit log is writable", 1 - failing)?;
        let lost = u64::from(self.gauges.checkpoint_lost);
        gauge(
            encoder,
            "checkpoint_lost",
            "1 while the newest checkpoint could not be written to its folder",
            lost,
        )?;
        let failed = u64::from(self.gauges.backup_failed);
        gauge(encoder, "backup_failed", "1 while the last scheduled backup has failed", failed)?;
        let (rolled_back, flawed) = (u64::from(self.gauges.rolled_back), u64::from(self.gauges.log_flawed));
        let help = "1 while the checkpoint folder knows records that the vault file lacks";
        gauge(encoder, "rolled_back", help, rolled_back)?;
        let help = "1 while a record of the audit log disagrees with what was signed";
        gauge(encoder, "log_flawed", help, flawed)?;
        let failed = u64::from(self.gauges.archive_failed);
        let help = "1 while the last scheduled archive of old events has failed, or does not end";
        gauge(encoder, "archive_failed", help, failed)?;
        let help = "1 while a witness refuses this log as another one than it cosigned";
        gauge(encoder, "witness_refused", help, u64::from(self.gauges.witness_refused))?;
        let help = "1 while a witness has cosigned no checkpoint of this log for a day, though it was asked";
        gauge(encoder, "witness_silent", help, u64::from(self.gauges.witness_silent))?;
        if let Some(end) = self.tls_end {
            let help = "End of the TLS certificate, in seconds since 1970";
            gauge(encoder, "tls_certificate_expiry_timestamp_seconds", help, end.millis() / 1000)?;
        }
        if let Some(bytes) = self.gauges.free_bytes {
            gauge(encoder, "disk_free_bytes", "Free bytes on the file system of the vault file", bytes)?;
        }
        if let Some(bytes) = self.gauges.file_bytes {
            gauge(encoder, "file_bytes", "Size of the vault file in bytes", bytes)?;
        }
        let help = "Seconds since the last verified backup; +Inf if none is recorded";
        encoder
            .encode_descriptor("verified_backup_age_seconds", help, None, MetricType::Gauge)?
            .encode_gauge(&self.gauges.backup_age.map_or(f64::INFINITY, |age| age.as_secs_f64()))
    }
}

fn encode_open(encoder: &mut DescriptorEncoder<'_>, open: &OpenGauges) -> fmt::Result {
    gauge(encoder, "audit_sequence", "Number of records in the audit log", open.log_size)?;
    gauge(encoder, "queue_depth", "Requests waiting for a commit", open.waiting as u64)?;
    let help = "Duration of commits in seconds, including the sync to disk";
    let (sum, buckets) = in_seconds(&open.commit_micros);
    let count = open.commit_micros.count();
    encoder
        .encode_descriptor("commit_duration_seconds", help, None, MetricType::Histogram)?
        .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    let (sum, buckets) = plain(&open.batch_jobs);
    encoder
        .encode_descriptor("commit_batch_jobs", "Requests per commit", None, MetricType::Histogram)?
        .encode_histogram::<NoLabelSet>(sum, open.batch_jobs.count(), &buckets, None)?;
    let mut all = encoder.encode_descriptor(
        "integrations",
        "Stored integrations, by provider",
        None,
        MetricType::Gauge,
    )?;
    for (provider, (count, _)) in &open.integrations {
        all.encode_family(&[("provider", *provider)])?.encode_gauge(count)?;
    }
    let help = "Integrations whose credential has expired or expires within 30 days, by provider";
    let mut soon = encoder.encode_descriptor("integrations_expiring", help, None, MetricType::Gauge)?;
    for (provider, (_, count)) in &open.integrations {
        soon.encode_family(&[("provider", *provider)])?.encode_gauge(count)?;
    }
    open.due.as_ref().map_or(Ok(()), |due| encode_due(encoder, due))
}

fn encode_due(encoder: &mut DescriptorEncoder<'_>, due: &DueCounts) -> fmt::Result {
    let help = "What `sealroom due` lists by default: credentials that end within 30 days, were read after their end, \
                or were not rotated for 180 days; tokens that end within 7 days, or were unused for 90 days";
    let mut all = encoder.encode_descriptor("due", help, None, MetricType::Gauge)?;
    for (kind, count) in [
        ("credential_ending", due.ending),
        ("credential_ended_read", due.ended_read),
        ("credential_not_rotated", due.not_rotated),
        ("token_ending", due.tokens_ending),
        ("token_unused", due.tokens_unused),
    ] {
        all.encode_family(&[("kind", kind)])?.encode_gauge(&count)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

/// Converts a reading in microseconds to a sum and buckets in seconds; the encoder cumulates the counts.
fn in_seconds(reading: &Reading) -> (f64, Vec<(f64, u64)>) {
    let (sum, buckets) = plain(reading);
    (sum / 1e6, buckets.into_iter().map(|(bound, count)| (bound / 1e6, count)).collect())
}

#[allow(clippy::cast_precision_loss, reason = "a page for people and graphs; 52 bits of a count are enough")]
fn plain(reading: &Reading) -> (f64, Vec<(f64, u64)>) {
    let bound = |bound: u64| if bound == u64::MAX { f64::INFINITY } else { bound as f64 };
    (reading.sum as f64, reading.buckets.iter().map(|(at, count)| (bound(*at), *count)).collect())
}
