//! Bodies and replies.

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;

use crate::{Error, Result};

/// Any error of a streamed body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How much of a file is in memory at once.
const FILE_PIECE: u64 = 64 * 1024;

type BoxedBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// The body of a request or reply: whole in memory, or streamed.
#[derive(Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// A body that is in memory as a whole.
    Full(Bytes),
    /// A body that arrives piece by piece.
    Stream(BoxedBody),
}

impl Body {
    /// Wraps any HTTP body.
    pub fn from_http<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Stream(Box::pin(http_body_util::BodyExt::map_err(body, Into::into)))
    }

    /// Wraps a stream of chunks.
    pub fn from_stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        use futures_util::StreamExt as _;
        let frames = stream.map(|chunk| chunk.map(Frame::data).map_err(Into::into));
        Self::Stream(Box::pin(http_body_util::StreamBody::new(frames)))
    }

    /// The next `length` bytes of a file, read as the client takes them. `kept` is dropped with the body.
    pub fn from_file(file: tokio::fs::File, length: u64, kept: impl Send + 'static) -> Self {
        let pieces = stream::try_unfold((file, length, kept), async |(mut file, left, kept)| {
            if left == 0 {
                return Ok(None);
            }
            let most = usize::try_from(left.min(FILE_PIECE)).unwrap_or(usize::MAX);
            let mut piece = BytesMut::with_capacity(most);
            let read = (&mut file).take(most as u64).read_buf(&mut piece).await?;
            if read == 0 {
                return Err(BoxError::from(std::io::Error::from(ErrorKind::UnexpectedEof)));
            }
            Ok(Some((piece.freeze(), (file, left - read as u64, kept))))
        });
        Self::from_stream::<_, BoxError>(
            Box::pin(pieces) as BoxStream<'_, std::result::Result<Bytes, BoxError>>
        )
    }

    /// Whether the body is streamed.
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Body::Empty"),
            Self::Full(bytes) => write!(f, "Body::Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Body::Stream"),
        }
    }
}

/// What an action answers: a status, headers and a body.
///
/// Typed actions return their output record and never see this; actions that stream or that speak
/// another content type than JSON build one by hand.
#[derive(Debug, Default)]
pub struct Reply {
    /// The status; 200 unless set.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Reply {
    /// A reply with this status and no body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, ..Self::default() }
    }

    /// A 200 with the value as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let bytes = serde_json::to_vec(value).map_err(Error::internal)?;
        Ok(Self::typed(HeaderValue::from_static("application/json"), bytes))
    }

    /// A 200 with plain UTF-8 text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::typed(HeaderValue::from_static("text/plain; charset=utf-8"), text.into())
    }

    /// A 200 with a body of this content type.
    pub fn typed(content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::CONTENT_TYPE, content_type);
        Self { status: StatusCode::OK, headers, body: body.into().into() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

/// A stream of server-sent events whose bytes are already framed (`data: …` and a blank line).
///
/// Format: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
#[derive(Debug)]
pub struct Sse(pub Body);

impl From<Sse> for Reply {
    fn from(sse: Sse) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Tells nginx-like proxies not to hold events back.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Self { status: StatusCode::OK, headers, body: sse.0 }
    }
}
