//! Mail over a real conversation with a server on loopback.

use std::sync::{Arc, Mutex};

use downcity_services::{Accounts, EmailVerification, MailConfig, MailMode, MailTls};
use downcity_testkit::tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use downcity_testkit::tokio::net::{TcpListener, TcpStream};
use downcity_testkit::tokio::task::JoinSet;
use downcity_testkit::{Engine, TestApp};
use serde_json::json;

use crate::common::{PASSWORD, linking, login, post, register, token_of};

/// What was said to the server, mail by mail, and how it answers to the next recipients.
#[derive(Default)]
struct Heard {
    /// Sender, recipient and message.
    mails: Vec<(String, String, String)>,
    logins: Vec<String>,
    /// Answers to `RCPT TO`, each used once; 250 afterwards.
    answers: Vec<&'static str>,
}

struct SmtpServer {
    port: u16,
    heard: Arc<Mutex<Heard>>,
    _task: JoinSet<()>,
}

impl SmtpServer {
    async fn start(answers: Vec<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Heard { answers, ..Heard::default() }));
        let (mut task, server) = (JoinSet::new(), heard.clone());
        task.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that leaves in the middle has said all it wanted to.
                let _ = talk(stream, &server).await;
            }
        });
        Self { port, heard, _task: task }
    }

    fn config(&self) -> MailConfig {
        MailConfig {
            mode: MailMode::Smtp,
            from: Some("Example <no-reply@example.com>".to_owned()),
            host: Some("127.0.0.1".to_owned()),
            port: Some(self.port),
            tls: MailTls::None,
            username: Some("mailer".to_owned()),
            ..MailConfig::default()
        }
    }
}

async fn talk(stream: TcpStream, heard: &Mutex<Heard>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 test\r\n").await?;
    let (mut from, mut to) = (String::new(), String::new());
    while let Some(line) = lines.next_line().await? {
        let command = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match command.as_str() {
            "EHLO" => "250-test\r\n250 AUTH PLAIN",
            "AUTH" => {
                heard.lock().unwrap().logins.push(line);
                "235 welcome"
            }
            "MAIL" => {
                from = line;
                "250 ok"
            }
            "RCPT" => {
                to = line;
                let mut heard = heard.lock().unwrap();
                if heard.answers.is_empty() { "250 ok" } else { heard.answers.remove(0) }
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await?;
                let mut message = String::new();
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    message.push_str(&line);
                    message.push('\n');
                }
                heard.lock().unwrap().mails.push((from.clone(), to.clone(), message));
                "250 kept"
            }
            "QUIT" => {
                return writer.write_all(b"221 bye\r\n").await;
            }
            _ => "250 ok",
        };
        writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

async fn start(engine: Engine, server: &SmtpServer) -> TestApp {
    let accounts = Accounts::new(linking(EmailVerification::Off), server.config());
    let app = TestApp::builder(engine).builtin(accounts).start().await;
    app.create_city("shop").await;
    app
}

/// A message as it was before it was made fit for the wire (quoted-printable).
fn decoded(message: &str) -> String {
    message.replace("=\n", "").replace("=3D", "=")
}

fn reset_by_smtp(engine: Engine) {
    downcity_testkit::block_on(async {
        let server = SmtpServer::start(vec!["451 try again later"]).await;
        let app = start(engine, &server).await;
        register(&app, "ann@example.com").await;
        let forgot = json!({"email": "ann@example.com", "city_id": "shop"});
        post(&app, "password/forgot", forgot).await.expect(200);
        // Without the password of the server, and while it asks to wait, nothing goes out.
        app.run_jobs().await;
        assert!(server.heard.lock().unwrap().logins.is_empty());
        let input = json!({"key": "SMTP_PASSWORD", "value": "hunter2hunter2"});
        app.admin().post("/v1/env/upsert", input).await.expect(200);
        for _ in 0..2 {
            app.clock().advance(std::time::Duration::from_secs(60));
            app.run_jobs().await;
        }
        let (mails, logins) = {
            let heard = server.heard.lock().unwrap();
            (heard.mails.clone(), heard.logins.len())
        };
        assert_eq!((mails.len(), logins), (1, 2));
        let (from, to, message) = &mails[0];
        assert!(from.contains("<no-reply@example.com>") && to.contains("<ann@example.com>"));
        let message = decoded(message);
        assert!(message.contains("Subject: A new password for shop"), "{message}");
        assert!(
            message.contains("From: \"Example\" <no-reply@example.com>")
                || message.contains("From: Example <no-reply@example.com>"),
            "{message}"
        );
        let token = token_of(&json!({"text": message}));
        let reset = json!({"token": token, "password": "another horse battery"});
        post(&app, "password/reset", reset).await.expect(200);
        login(&app, "ann@example.com", "another horse battery").await.expect(200);
        login(&app, "ann@example.com", PASSWORD).await.expect_error(401, "invalid_login");
    });
}

#[test]
fn a_password_is_reset_by_smtp_on_sqlite() {
    reset_by_smtp(Engine::Sqlite);
}

#[test]
fn a_password_is_reset_by_smtp_on_postgres() {
    reset_by_smtp(Engine::Postgres);
}

#[test]
fn a_mailbox_that_does_not_exist_is_given_up() {
    downcity_testkit::block_on(async {
        let server = SmtpServer::start(vec!["550 no such mailbox"]).await;
        let app = start(Engine::Sqlite, &server).await;
        let input = json!({"key": "SMTP_PASSWORD", "value": "hunter2hunter2"});
        app.admin().post("/v1/env/upsert", input).await.expect(200);
        register(&app, "ann@example.com").await;
        let forgot = json!({"email": "ann@example.com", "city_id": "shop"});
        post(&app, "password/forgot", forgot).await.expect(200);
        for _ in 0..3 {
            app.run_jobs().await;
            app.clock().advance(std::time::Duration::from_secs(600));
        }
        let heard = server.heard.lock().unwrap();
        assert_eq!((heard.mails.len(), heard.logins.len()), (0, 1), "it is not tried again");
    });
}
