//! What all protocols over HTTP share: the provider's address, its headers, its API key, and how a
//! key is tried.
//!
//! A protocol has a main path under the provider's root, whose address is made once; others are made
//! per call.

use std::sync::Arc;

use bytes::Bytes;
use downcity_core::env::{Candidate, CityEnv, EnvOf, Probed};
use downcity_core::{Body, Call, Error, Secret};
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{Auth, ProviderConfig};
use crate::failure::Failure;
use crate::mask::Mask;
use crate::upstream::{PublicOnly, Upstream};

/// The way to a provider, everything parsed that does not change per call.
pub(crate) struct Wire {
    upstream: Arc<dyn Upstream>,
    /// What stands after the root in the main address.
    path: &'static str,
    endpoint: Option<Uri>,
    base_url_env: Option<String>,
    env_key: Option<String>,
    auth: Auth,
    headers: HeaderMap,
}

/// An address, and whose value it is made of; what the configuration names is the Federation's.
struct Endpoint {
    uri: Uri,
    of: EnvOf,
}

impl Endpoint {
    /// A request to it. One to an address of a city stays out of the operator's network: whoever sets
    /// env values of a city reads the answers, too.
    fn request(self, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.uri_mut() = self.uri;
        if self.of == EnvOf::City {
            request.extensions_mut().insert(PublicOnly);
        }
        request
    }
}

impl Wire {
    /// From a configuration that has been validated; `path` is the main path under its root.
    pub(super) fn new(
        config: &ProviderConfig,
        upstream: Arc<dyn Upstream>,
        path: &'static str,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("downcity/", env!("CARGO_PKG_VERSION"))),
        );
        for (name, value) in &config.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(value))
            {
                headers.insert(name, value);
            }
        }
        Self {
            upstream,
            path,
            endpoint: config.base_url.as_deref().and_then(|url| address(url, path).ok()),
            base_url_env: config.base_url_env.clone(),
            env_key: config.env_key.clone(),
            auth: config.auth.clone(),
            headers,
        }
    }

    fn endpoint(&self, env: impl FnOnce(&str) -> Option<CityEnv>) -> Result<Endpoint, Error> {
        let configured = |uri: &Uri| Endpoint { uri: uri.clone(), of: EnvOf::Federation };
        let Some(key) = &self.base_url_env else {
            let endpoint = self.endpoint.as_ref().map(configured);
            return endpoint.ok_or_else(|| Error::missing_config("base_url"));
        };
        match (env(key), &self.endpoint) {
            (Some(CityEnv { value, of }), _) => match address(value.expose().trim(), self.path) {
                Ok(uri) => Ok(Endpoint { uri, of }),
                Err(why) => Err(unusable(key, &why)),
            },
            (None, Some(uri)) => Ok(configured(uri)),
            (None, None) => Err(Error::missing_config(key)),
        }
    }

    /// The root that an env key holds. A city's own counts only where its own API key goes there: the
    /// Federation's key is not sent to an address that was set for one city.
    ///
    /// Asks for the API key as signing does: the call sees what the city has as it stood at its first
    /// look, so a change in between cannot part the key from the address that was stored with it.
    fn root_in(&self, call: &Call, key: &str) -> Option<CityEnv> {
        let is_own = |env_key| call.city_env(env_key).is_some_and(|it| it.of == EnvOf::City);
        if self.authenticating_key().is_none_or(is_own) {
            return call.city_env(key);
        }
        call.env(key).map(|value| CityEnv { value, of: EnvOf::Federation })
    }

    /// The root that requests of this call go under, without a slash at its end; `None` where there is
    /// none.
    pub(super) fn root(&self, call: &Call) -> Option<String> {
        let uri = self.endpoint(|key| self.root_in(call, key)).ok()?.uri;
        let path = uri.path().strip_suffix(self.path).unwrap_or(uri.path());
        Some(format!("{}://{}{path}", uri.scheme_str()?, uri.authority()?))
    }

    /// Posts JSON to the main path.
    pub(super) async fn post(&self, call: &Call, body: Bytes) -> Result<Response<Body>, Failure> {
        let endpoint = self.endpoint(|key| self.root_in(call, key)).map_err(Failure::Ours)?;
        let request = self.request_to(endpoint, call, body).map_err(Failure::Ours)?;
        self.send(request).await
    }

    /// Sends a request that was made here.
    pub(super) fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Body>, Failure>> {
        self.upstream.send(request)
    }

    /// A request that posts JSON to another path under the provider's root, `query` added to the
    /// root's own. Method and content type can be changed before it is sent.
    pub(super) fn request_beside(
        &self,
        call: &Call,
        path: &str,
        query: Option<&str>,
        body: Bytes,
    ) -> Result<Request<Bytes>, Error> {
        let endpoint = self.endpoint(|key| self.root_in(call, key))?;
        let mut uri = beside(&endpoint.uri, self.path, path).map_err(Error::internal)?;
        if let Some(query) = query {
            let mark = if uri.query().is_some() { '&' } else { '?' };
            uri = format!("{uri}{mark}{query}").parse().map_err(Error::internal)?;
        }
        self.request_to(Endpoint { uri, of: endpoint.of }, call, body)
    }

    fn request_to(
        &self,
        endpoint: Endpoint,
        call: &Call,
        body: Bytes,
    ) -> Result<Request<Bytes>, Error> {
        let mut request = endpoint.request(body);
        *request.method_mut() = Method::POST;
        *request.headers_mut() = self.headers.clone();
        if let Some(env_key) = self.authenticating_key() {
            self.sign(&mut request, env_key, &call.require_city_env(env_key)?.value)?;
        }
        Ok(request)
    }

    /// The env key whose value stands in requests.
    fn authenticating_key(&self) -> Option<&str> {
        self.env_key.as_deref().filter(|_| self.auth != Auth::None)
    }

    /// Puts the API key where the provider expects it.
    fn sign(
        &self,
        request: &mut Request<Bytes>,
        env_key: &str,
        secret: &Secret,
    ) -> Result<(), Error> {
        let key = secret.expose().trim();
        match &self.auth {
            Auth::None => {}
            Auth::Bearer => {
                let value = secret_header(env_key, &format!("Bearer {key}"))?;
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            Auth::Header(name) => {
                let name = HeaderName::try_from(name).map_err(Error::internal)?;
                request.headers_mut().insert(name, secret_header(env_key, key)?);
            }
            Auth::Query(name) => {
                let uri = request.uri();
                let mark = if uri.query().is_some() { '&' } else { '?' };
                let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
                let key = utf8_percent_encode(key, NON_ALPHANUMERIC);
                let with_key = format!("{uri}{mark}{name}={key}");
                *request.uri_mut() = with_key.parse().map_err(Error::internal)?;
            }
        }
        Ok(())
    }

    /// Asks for the list of models with a key that is not stored yet.
    pub(super) fn test_request(&self, candidate: &Candidate) -> Result<Request<Bytes>, Error> {
        let Endpoint { uri, of } = self.endpoint(|key| candidate.city_env(key))?;
        let uri = beside(&uri, self.path, "/models").map_err(Error::internal)?;
        let mut request = Endpoint { uri, of }.request(Bytes::new());
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().remove(CONTENT_TYPE);
        self.sign(&mut request, candidate.key(), candidate.value())?;
        Ok(request)
    }

    /// Whether it can try a value of this env key.
    pub(super) fn probes(&self, key: &str) -> bool {
        self.authenticating_key() == Some(key)
    }

    /// Hides the key, which must not appear in anything that is passed on.
    pub(super) fn mask(&self, call: &Call) -> Mask {
        let found = self.env_key.as_deref().and_then(|key| call.city_env(key));
        Mask::new(found.map(|found| found.value).as_ref())
    }

    /// Tries a key that is not stored yet.
    pub(super) async fn probe(&self, candidate: &Candidate) -> Probed {
        let sent = match self.test_request(candidate) {
            Ok(request) => self.upstream.send(request).await,
            Err(error) => return Probed::Unknown(error.message().to_owned()),
        };
        Self::judge(sent)
    }

    /// What an answer to a request for the list of models says about the key.
    pub(super) fn judge(sent: Result<Response<Body>, Failure>) -> Probed {
        let why = match sent.map(|response| response.status()) {
            Ok(status) if status.is_success() => return Probed::Accepted,
            Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return Probed::Refused,
            Ok(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
                "The provider does not list its models.".to_owned()
            }
            Ok(status) => format!("The provider answered {}.", status.as_u16()),
            Err(failure) => failure.sentence(),
        };
        Probed::Unknown(why)
    }
}

fn secret_header(env_key: &str, text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| unusable(env_key, "it holds characters that a header cannot carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unusable(key: &str, why: &str) -> Error {
    Error::new(
        downcity_types::ErrorCode::MissingConfig,
        format!("The value of {key} cannot be used: {why}."),
    )
}

/// Another address under the root of the main one.
fn beside(endpoint: &Uri, main: &str, path: &str) -> Result<Uri, http::Error> {
    let root = endpoint.path();
    let root = root.strip_suffix(main).unwrap_or(root);
    let query = endpoint.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = endpoint.clone().into_parts();
    parts.path_and_query = Some(format!("{root}{path}{query}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

/// Whether a text can be a provider's root.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn check_base_url(text: &str) -> Result<(), String> {
    address(text, "/").map(drop)
}

/// The address of this path under a provider's root.
fn address(text: &str, under: &str) -> Result<Uri, String> {
    let root: Uri = text.parse().map_err(|_| format!("{text:?} is not a URL"))?;
    if !matches!(root.scheme_str(), Some("http" | "https")) {
        return Err("must begin with https:// or http://".to_owned());
    }
    let Some(authority) = root.authority() else { return Err("must name a host".to_owned()) };
    if authority.as_str().contains('@') {
        return Err("must not hold a user name; keys belong into the env".to_owned());
    }
    let path = root.path().trim_end_matches('/');
    let query = root.query().map(|query| format!("?{query}")).unwrap_or_default();
    Uri::builder()
        .scheme(root.scheme_str().unwrap_or("https"))
        .authority(authority.as_str())
        .path_and_query(format!("{path}{under}{query}"))
        .build()
        .map_err(|_| format!("{text:?} is not a URL"))
}
