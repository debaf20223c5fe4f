//! Resources with a method or two: rate limits, analytics, static assets, the version of the Worker.

use super::{lookup, object};
use crate::{
    Bindable, Declaration, Error, Result, codec,
    runtime::{js, promise::awaited},
};
use serde::Deserialize;
use wasm_bindgen::{JsCast, JsValue};
use worker::{Request, Response};

/// A rate limit, as a value: `static LOGINS: RateLimit = RateLimit::new("LOGINS", 1001, 5, Period::Minute);`.
///
/// It counts per key and per location of Cloudflare, approximately.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    name: &'static str,
    namespace: u32,
    limit: u32,
    period: Period,
}

/// The period in which calls are counted. The platform offers these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// 10 seconds.
    TenSeconds,
    /// 60 seconds.
    Minute,
}

impl RateLimit {
    /// At most `limit` calls in each `period`. Limits of one `namespace`, a number of your choice, count together.
    #[must_use]
    pub const fn new(name: &'static str, namespace: u32, limit: u32, period: Period) -> Self {
        Self { name, namespace, limit, period }
    }
}

impl Bindable for RateLimit {
    type Client = RateLimitClient;

    fn declare(&self) -> Declaration {
        let period = match self.period {
            Period::TenSeconds => 10,
            Period::Minute => 60,
        };
        let declaration = Declaration::new(self.name, "ratelimit").with("namespace", self.namespace);
        declaration.with("limit", self.limit).with("period", period)
    }

    fn client(&self) -> RateLimitClient {
        RateLimitClient { binding: self.name }
    }
}

/// The client of a rate limit.
#[derive(Clone, Copy, Debug)]
pub struct RateLimitClient {
    binding: &'static str,
}

impl RateLimitClient {
    /// Counts a call for `key`, and says whether it is within the limit.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn allows(&self, key: &str) -> Result<bool> {
        let options = object([("key", Some(key.into()))]);
        let outcome = awaited(js::invoke1(&lookup(self.binding)?, "limit", &options)).await?;
        Ok(js::field(&outcome, "success").is_truthy())
    }
}

/// A dataset of Analytics Engine, as a value: `static VISITS: AnalyticsDataset = AnalyticsDataset::new("visits");`.
#[derive(Clone, Copy, Debug)]
pub struct AnalyticsDataset {
    name: &'static str,
}

impl AnalyticsDataset {
    /// The dataset of this name, which is also the name of its binding.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl Bindable for AnalyticsDataset {
    type Client = AnalyticsClient;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "analytics_engine").with("dataset", self.name)
    }

    fn client(&self) -> AnalyticsClient {
        AnalyticsClient { binding: self.name }
    }
}

/// The client of a dataset, which writes data points.
#[derive(Clone, Copy, Debug)]
pub struct AnalyticsClient {
    binding: &'static str,
}

/// A data point: at most one index of 96 bytes, 20 numbers, and 20 texts of 16 KB together (Cloudflare's "Analytics Engine
/// limits").
#[derive(Clone, Copy, Debug, Default)]
pub struct DataPoint<'a> {
    /// The index by which the point is sampled.
    pub index: Option<&'a str>,
    /// Its numbers.
    pub doubles: &'a [f64],
    /// Its texts.
    pub blobs: &'a [&'a str],
}

impl AnalyticsClient {
    /// Writes a point. When this returns, the point is on its way; the platform does not report whether it arrived.
    ///
    /// # Errors
    /// When the point is over a limit.
    pub fn write(&self, point: DataPoint<'_>) -> Result<()> {
        let list = |values: JsValue| Some(values);
        let options = object([
            ("indexes", list(codec::to_js(&point.index.as_slice())?)),
            ("doubles", list(codec::to_js(point.doubles)?)),
            ("blobs", list(codec::to_js(point.blobs)?)),
        ]);
        js::invoke1(&lookup(self.binding)?, "writeDataPoint", &options).map(drop).map_err(Error::from_js)
    }
}

/// The static assets of the Worker, as a value: `static FILES: Assets = Assets::new("ASSETS", "public");`.
#[derive(Clone, Copy, Debug)]
pub struct Assets {
    name: &'static str,
    folder: &'static str,
}

impl Assets {
    /// The files in `folder`, relative to the `Cargo.toml`. The platform serves them before it asks the Worker.
    #[must_use]
    pub const fn new(name: &'static str, folder: &'static str) -> Self {
        Self { name, folder }
    }
}

impl Bindable for Assets {
    type Client = AssetsClient;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "assets").with("directory", self.folder)
    }

    fn client(&self) -> AssetsClient {
        AssetsClient { binding: self.name }
    }
}

/// The client of the static assets.
#[derive(Clone, Copy, Debug)]
pub struct AssetsClient {
    binding: &'static str,
}

impl AssetsClient {
    /// Answers `request` with the file that its path names.
    ///
    /// # Errors
    /// What the platform reports.
    pub async fn fetch(&self, request: Request) -> Result<Response> {
        let request: JsValue = worker::web_sys::Request::try_from(request)?.into();
        let response = awaited(js::invoke1(&lookup(self.binding)?, "fetch", &request)).await?;
        Ok(response.unchecked_into::<worker::web_sys::Response>().into())
    }
}

/// The metadata of the running version, as a value: `static VERSION: VersionMetadata = VersionMetadata::new("VERSION");`.
#[derive(Clone, Copy, Debug)]
pub struct VersionMetadata {
    name: &'static str,
}

impl VersionMetadata {
    /// The metadata of the running version, bound under this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl Bindable for VersionMetadata {
    type Client = VersionMetadataClient;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "version_metadata")
    }

    fn client(&self) -> VersionMetadataClient {
        VersionMetadataClient { binding: self.name }
    }
}

/// The client that reads the metadata of the running version.
#[derive(Clone, Copy, Debug)]
pub struct VersionMetadataClient {
    binding: &'static str,
}

/// The running version of the Worker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// The tag that it got when it was uploaded.
    pub tag: String,
    /// When it was uploaded, as an ISO date.
    pub timestamp: String,
}

impl VersionMetadataClient {
    /// The running version.
    ///
    /// # Errors
    /// When the environment has no such binding.
    pub fn get(&self) -> Result<Version> {
        Ok(codec::from_js(&lookup(self.binding)?)?)
    }
}
