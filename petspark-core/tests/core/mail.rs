//! Mails: out of the queue, over a real socket or into a file, once if nothing fails and again
//! if something does, and without telling anybody what only the recipient may know.

use std::time::Duration;

use petspark_core::audit::{Action, AuditFilter};
use petspark_core::config::{Environment, Settings, Value as _, WebUrl};
use petspark_core::mail::{HandedOver, MailHealth, SmtpServer, Template, TestMailError};
use petspark_core::testing::{TestApp, TestUser, on_both};
use petspark_core::{Caller, PageRequest, PetSpark, Secret};
use tokio::net::TcpListener;

use crate::smtp_sink::{LOGIN, Sink, Tls};

/// A PetSpark on the same database that sends by this server.
async fn sending_by(app: &TestApp, sink: &Sink, url: &str) -> PetSpark {
    let authority = app.folder().join("authority.pem");
    std::fs::write(&authority, &sink.authority).unwrap();
    let url =
        url.replace("PORT", &sink.address.port().to_string()).replace("LOGIN", &format!("{}:{}", LOGIN.0, LOGIN.1));
    app.another_with(|settings| {
        settings.mail.smtp = Some(SmtpServer::parse(&url).unwrap());
        settings.mail.smtp_ca = Some(authority);
        settings.mail.timeout = Duration::from_secs(2);
    })
    .await
}

/// Ada, whose mail about her address is out of the way.
async fn user(app: &TestApp) -> TestUser {
    let ada = app.register("ada").await;
    app.run_jobs().await;
    ada
}

/// Why the jobs that were due failed.
async fn faults(petspark: &PetSpark) -> Vec<String> {
    petspark.jobs().run_due().await.unwrap().iter().map(petspark_core::Fault::chain).collect()
}

const PLAIN: &str = "smtp://LOGIN@127.0.0.1:PORT";
const RETRY: Duration = Duration::from_secs(3600);

on_both! {
    async fn without_a_mail_server_mails_are_files(app: TestApp) {
        let ada = user(&app).await;
        app.enqueue_mail(ada.id, Template::PasswordChanged).await;
        let mail = app.mail("ada@example.org", Template::PasswordChanged).await;
        assert_eq!(mail.subject, "Your password was changed");
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("on 22 November 2026, 21:49 UTC"), "{part}");
            assert!(part.contains("http://localhost:3000"), "{part}");
        }
        assert!(mail.raw.contains("\r\nAuto-Submitted: auto-generated\r\n"), "{}", mail.raw);
        assert_eq!(app.petspark.mail().health(), MailHealth::Files);
    }

    async fn a_mail_arrives_by_smtp_with_its_headers_and_both_parts(app: TestApp) {
        let ada = user(&app).await;
        let sink = Sink::start(Tls::Never).await;
        let petspark = sending_by(&app, &sink, PLAIN).await;
        app.enqueue_mail(ada.id, Template::PasswordChanged).await;
        app.enqueue_mail(ada.id, Template::SecondFactorAdded).await;
        assert!(faults(&petspark).await.is_empty());
        let taken = sink.taken();
        let mail = taken.iter().find(|mail| mail.data.contains("Subject: Your password was changed\r\n")).unwrap();
        assert_eq!(mail.to, "ada@example.org");
        for part in [
            "From: PetSpark <no-reply@localhost>\r\n",
            "To: ada@example.org\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Date: Sun, 22 Nov 2026 21:49:38 +0000\r\n",
            "@localhost>\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(mail.data.contains(part), "{part}\n{}", mail.data);
        }
        assert_eq!((taken.len(), sink.connections()), (2, 1), "the second mail goes over the first one's connection");
        assert_eq!(petspark.mail().health(), MailHealth::Sending);
        petspark.close().await;
    }

    async fn files_of_a_month_ago_are_removed_by_the_daily_job(app: TestApp) {
        let ada = user(&app).await;
        app.enqueue_mail(ada.id, Template::PasswordChanged).await;
        let files = || std::fs::read_dir(app.folder().join("mail")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        app.run_jobs().await;
        assert_eq!(files().len(), 2);
        let now = std::time::UNIX_EPOCH + Duration::from_micros(app.clock.now().as_micros().try_into().unwrap());
        let day = Duration::from_secs(86_400);
        std::fs::File::options().write(true).open(&files()[0]).unwrap().set_modified(now - 30 * day).unwrap();
        std::fs::File::options().write(true).open(&files()[1]).unwrap().set_modified(now - 29 * day + day / 2).unwrap();
        let young = files()[1].clone();
        app.clock.advance(day);
        app.run_jobs().await;
        assert_eq!(files(), [young]);
    }

    async fn an_operator_hears_whether_a_mail_goes(app: TestApp) {
        let (operator, ada) = (Caller::operator("test"), user(&app).await);
        let file = app.petspark.mail().send_test(&operator, "Root@example.org").await.unwrap();
        assert!(matches!(&file, HandedOver::File(path) if path.is_file()), "{file:?}");
        let mail = app.mail("root@example.org", Template::Test).await;
        assert_eq!((&*mail.subject, mail.link()), ("Mails of PetSpark arrive", None));
        let sink = Sink::start(Tls::Never).await;
        let petspark = sending_by(&app, &sink, PLAIN).await;
        assert_eq!(petspark.mail().send_test(&operator, "root@example.org").await.unwrap(), HandedOver::Server);
        assert_eq!(sink.taken()[0].to, "root@example.org");
        sink.refuse_next("550 no such <root@example.org>");
        let refused = petspark.mail().send_test(&operator, "root@example.org").await.unwrap_err().to_string();
        assert!(refused.contains("550") && !refused.contains("root@"), "{refused}");
        assert!(matches!(petspark.mail().send_test(&operator, "nonsense").await, Err(TestMailError::Invalid(_))));
        assert!(matches!(petspark.mail().send_test(&ada.caller, "eve@example.org").await, Err(TestMailError::Denied(_))));
        let filter = AuditFilter { action: Some(Action::TestMailSent), ..AuditFilter::default() };
        let log = petspark.audit().list(&operator, filter, &PageRequest::default()).await.unwrap().items;
        assert_eq!(log.iter().map(|entry| entry.succeeded).collect::<Vec<_>>(), [false, true, true]);
        petspark.close().await;
    }

    async fn a_user_who_is_gone_gets_no_mail_and_no_job_fails(app: TestApp) {
        app.enqueue_mail(petspark_core::UserId::new(), Template::PasswordChanged).await;
        assert!(app.mails().await.is_empty());
    }

    async fn a_mail_that_is_refused_for_now_is_sent_later_as_the_same_one(app: TestApp) {
        let ada = user(&app).await;
        let sink = Sink::start(Tls::Never).await;
        let petspark = sending_by(&app, &sink, PLAIN).await;
        sink.refuse_next("451 4.7.1 come back later,");
        app.enqueue_mail(ada.id, Template::PasswordChanged).await;
        let faults_now = faults(&petspark).await;
        // A server's text may quote the address, so only its code is kept.
        assert!(faults_now.len() == 1 && faults_now[0].ends_with("didn't take it: 451"), "{faults_now:?}");
        assert_eq!(petspark.mail().health(), MailHealth::Failing);
        app.clock.advance(RETRY);
        assert!(faults(&petspark).await.is_empty());
        assert_eq!((sink.taken().len(), petspark.mail().health()), (1, MailHealth::Sending));
        petspark.close().await;
    }

    async fn a_mail_that_is_refused_for_good_is_not_tried_again(app: TestApp) {
        let ada = user(&app).await;
        let sink = Sink::start(Tls::Never).await;
        let petspark = sending_by(&app, &sink, PLAIN).await;
        sink.refuse_next("550 5.1.1 nobody of that name:");
        app.enqueue_mail(ada.id, Template::PasswordChanged).await;
        let refused = faults(&petspark).await;
        assert!(refused.len() == 1 && refused[0].ends_with("didn't take it: 550"), "{refused:?}");
        app.clock.advance(RETRY);
        assert!(faults(&petspark).await.is_empty());
        assert!(sink.taken().is_empty());
        // The mail after it is none the worse for it.
        app.enqueue_mail(ada.id, Template::PasswordChanged).await;
        assert!(faults(&petspark).await.is_empty());
        assert_eq!(sink.taken().len(), 1);
        petspark.close().await;
    }

    async fn a_mail_server_that_is_away_delays_mails_and_nothing_else(app: TestApp) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let petspark = app.another_with(|settings| {
            settings.mail.smtp = Some(SmtpServer::parse(&format!("smtp://{address}")).unwrap());
        }).await;
        let ada = user(&app).await;
        app.enqueue_mail(ada.id, Template::PasswordChanged).await;
        let away = faults(&petspark).await;
        assert!(away[0].contains("no connection to the mail server"), "{away:?}");
        let sink = Sink::on(TcpListener::bind(address).await.unwrap(), Tls::Never);
        app.clock.advance(RETRY);
        assert!(faults(&petspark).await.is_empty());
        assert_eq!(sink.taken().len(), 1);
        petspark.close().await;
    }
}

async fn app() -> TestApp {
    TestApp::open(petspark_core::testing::Engine::Sqlite).await
}

#[tokio::test]
async fn a_mail_server_is_signed_in_to_over_tls_of_both_kinds() {
    let app = app().await;
    let ada = user(&app).await;
    for (tls, url) in
        [(Tls::Always, "smtps://LOGIN@localhost:PORT"), (Tls::Upgrade, "smtp://LOGIN@localhost:PORT?tls=required")]
    {
        let sink = Sink::start(tls).await;
        let petspark = sending_by(&app, &sink, url).await;
        app.enqueue_mail(ada.id, Template::PasswordChanged).await;
        assert_eq!(faults(&petspark).await, Vec::<String>::new());
        assert_eq!(sink.taken().len(), 1);
        petspark.close().await;
    }
}

#[tokio::test]
async fn a_mail_server_whose_certificate_nobody_vouches_for_gets_nothing() {
    let app = app().await;
    let ada = user(&app).await;
    let (mut sink, stranger) = (Sink::start(Tls::Always).await, Sink::start(Tls::Never).await);
    sink.authority = stranger.authority;
    let petspark = sending_by(&app, &sink, "smtps://LOGIN@localhost:PORT").await;
    app.enqueue_mail(ada.id, Template::PasswordChanged).await;
    let faults = faults(&petspark).await;
    assert!(faults[0].contains("certificate"), "{faults:?}");
    assert!(sink.taken().is_empty());
}

#[tokio::test]
async fn a_mail_server_without_tls_gets_neither_password_nor_mail_when_tls_is_required() {
    let app = app().await;
    let ada = user(&app).await;
    let sink = Sink::start(Tls::Never).await;
    let petspark = sending_by(&app, &sink, "smtp://LOGIN@localhost:PORT?tls=required").await;
    app.enqueue_mail(ada.id, Template::PasswordChanged).await;
    let faults = faults(&petspark).await;
    assert!(faults[0].contains("STARTTLS"), "{faults:?}");
    assert!(sink.taken().is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_told_without_the_password_and_loses_no_mail() {
    let app = app().await;
    let ada = user(&app).await;
    let sink = Sink::start(Tls::Never).await;
    let petspark = sending_by(&app, &sink, "smtp://petspark:hunter3@127.0.0.1:PORT").await;
    app.enqueue_mail(ada.id, Template::PasswordChanged).await;
    let refused = faults(&petspark).await;
    assert!(refused[0].ends_with("doesn't let us in: 535"), "{refused:?}");
    assert!(!format!("{:?}", petspark.settings()).contains("hunter3"));
    let petspark = sending_by(&app, &sink, PLAIN).await;
    app.clock.advance(RETRY);
    assert!(faults(&petspark).await.is_empty());
    assert_eq!(sink.taken().len(), 1);
}

#[tokio::test]
async fn a_mail_server_that_falls_silent_is_given_up_and_its_connection_with_it() {
    let app = app().await;
    let ada = user(&app).await;
    let sink = Sink::start(Tls::Never).await;
    let petspark = sending_by(&app, &sink, PLAIN).await;
    sink.fall_silent(true);
    app.enqueue_mail(ada.id, Template::PasswordChanged).await;
    let silent = faults(&petspark).await;
    assert!(silent[0].contains("took more than 2s"), "{silent:?}");
    sink.fall_silent(false);
    app.clock.advance(RETRY);
    assert!(faults(&petspark).await.is_empty());
    assert_eq!((sink.taken().len(), sink.connections()), (1, 2));
}

#[tokio::test]
async fn production_with_a_mail_server_needs_a_sender_and_a_place_for_links() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::in_folder(folder.path());
    settings.environment = Environment::Production;
    settings.auth.jwt_secret = Some(Secret::new("4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2"));
    settings.mail.smtp = Some(SmtpServer::parse("smtps://mail.example.org").unwrap());
    let refused = |settings: &Settings| {
        let settings = settings.clone();
        async { PetSpark::open(settings).await.err().unwrap().to_string() }
    };
    assert!(refused(&settings).await.contains("PUBLIC_WEB_URL"));
    settings.public_web_url = Some(WebUrl::parse("https://app.example.org").unwrap());
    assert!(refused(&settings).await.contains("MAIL_FROM"));
    settings.mail.from = Some(petspark_core::mail::Sender::parse("no-reply@example.org").unwrap());
    settings.mail.templates_dir = Some(folder.path().join("nowhere"));
    assert!(refused(&settings).await.contains("nowhere"));
    settings.mail.templates_dir = None;
    settings.mail.smtp_ca = Some(folder.path().join("nothing.pem"));
    assert!(refused(&settings).await.contains("nothing.pem"));
    settings.mail.smtp_ca = None;
    PetSpark::open(settings).await.unwrap();
}

#[tokio::test]
async fn whether_the_mail_server_lets_us_in_is_found_out_without_a_mail() {
    let app = TestApp::open(petspark_core::testing::Engine::Sqlite).await;
    let limit = Duration::from_secs(20);
    for (tls, url) in [
        (Tls::Never, PLAIN),
        (Tls::Upgrade, "smtp://LOGIN@localhost:PORT?tls=required"),
        (Tls::Always, "smtps://LOGIN@localhost:PORT"),
    ] {
        let sink = Sink::start(tls).await;
        let petspark = sending_by(&app, &sink, url).await;
        let settings = &petspark.settings().mail;
        petspark_core::mail::reach(settings, limit).await.unwrap_or_else(|problem| panic!("{url}: {problem}"));
        assert_eq!((sink.connections(), sink.taken().len()), (1, 0));
        petspark.close().await;
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = app.petspark.settings().mail.clone();
    settings.smtp = Some(SmtpServer::parse(&format!("smtp://{}", nobody.local_addr().unwrap())).unwrap());
    let problem = petspark_core::mail::reach(&settings, Duration::from_millis(50)).await.unwrap_err();
    assert!(problem.contains("took more than"), "it listens and says nothing: {problem}");
    drop(nobody);
    assert!(petspark_core::mail::reach(&settings, limit).await.unwrap_err().contains("no connection"));
}
