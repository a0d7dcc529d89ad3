//! One conversation with an SMTP server per mail.

use std::time::{Duration, SystemTime};

use downcity_core::{Error, Runtime};
use lettre::message::{Mailbox, Message, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, PoolConfig};
use lettre::{AsyncTransport as _, Tokio1Executor};

use super::{Mail, MailConfig, MailTls, SMTP_PASSWORD, Unsent};

/// Hands a mail to the server.
pub(super) async fn send(config: &MailConfig, runtime: &Runtime, mail: Mail) -> Result<(), Unsent> {
    let message = message(config, runtime, mail).map_err(Unsent::Never)?;
    let transport = transport(config, runtime).map_err(Unsent::Later)?;
    let sent = tokio::time::timeout(config.timeout.get(), transport.send(message)).await;
    match sent {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is_permanent() => Err(Unsent::Never(Error::internal(error))),
        Ok(Err(error)) => Err(Unsent::Later(Error::internal(error))),
        Err(late) => Err(Unsent::Later(Error::internal(late))),
    }
}

fn message(config: &MailConfig, runtime: &Runtime, mail: Mail) -> Result<Message, Error> {
    let from = config.from.as_deref().unwrap_or_default();
    let from: Mailbox = from.parse().map_err(Error::internal)?;
    let to = mail.to.parse().map_err(Error::internal)?;
    let millis = u64::try_from(runtime.clock().now().millis()).unwrap_or_default();
    let id = format!("<{}@{}>", runtime.ids().sortable("mail_"), from.email.domain());
    Message::builder()
        .from(from)
        .to(Mailbox::new(None, to))
        .subject(mail.subject)
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
        .message_id(Some(id))
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text)
        .map_err(Error::internal)
}

fn transport(
    config: &MailConfig,
    runtime: &Runtime,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, Error> {
    let host = config.host.as_deref().unwrap_or_default();
    let tls = || TlsParameters::new(host.to_owned()).map_err(Error::internal);
    let (tls, port) = match config.tls {
        MailTls::StartTls => (Tls::Required(tls()?), 587),
        MailTls::Implicit => (Tls::Wrapper(tls()?), 465),
        MailTls::None => (Tls::None, 25),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(config.port.unwrap_or(port))
        .tls(tls)
        .timeout(Some(config.timeout.get()))
        // The password may change between two mails: no connection is kept.
        .pool_config(PoolConfig::new().max_size(1).min_idle(0));
    if let Some(username) = &config.username {
        let password = runtime.snapshot().env().get(SMTP_PASSWORD);
        let password = password.ok_or_else(|| Error::missing_config(SMTP_PASSWORD))?;
        let credentials = Credentials::new(username.clone(), password.expose().to_owned());
        builder = builder.credentials(credentials);
    }
    Ok(builder.build())
}
