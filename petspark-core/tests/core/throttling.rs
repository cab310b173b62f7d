//! Guessing at passwords, at addresses and with mails: who is slowed down, who is not, and what
//! an operator can do about it.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::audit::{Action, AuditFilter};
use petspark_core::auth::{
    Auth, AuthError, Bucket, Client, NewAccount, Password, RegisterMode, Registered, SignedIn, StatusChange,
    UserChange, UserStatus, WhichThrottles,
};
use petspark_core::mail::Template;
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Caller, Failure as _, Kind, Origin, PetSpark};

const MINUTE: Duration = Duration::from_secs(60);

fn from(ip: &str) -> Client {
    let ip: IpAddr = ip.parse().unwrap();
    Client { origin: Origin { ip: Some(ip), request_id: None }, ..Client::default() }
}

async fn try_password(auth: &Auth, email: &str, password: &str, ip: &str) -> Result<SignedIn, AuthError> {
    auth.login(email, Password::new(password), from(ip)).await
}

/// `ok`, the error's code, or how many seconds to wait.
async fn outcome(auth: &Auth, email: &str, password: &str, ip: &str) -> String {
    match try_password(auth, email, password, ip).await {
        Ok(_) => "ok".to_owned(),
        Err(AuthError::TooMany { retry_after }) => format!("wait {}", retry_after.as_secs()),
        Err(error) => error.code().to_owned(),
    }
}

async fn guess(app: &TestApp, email: &str, ip: &str) -> String {
    outcome(app.petspark.auth(), email, "a wrong guess of it", ip).await
}

async fn sign_in(app: &TestApp, email: &str, ip: &str) -> String {
    outcome(app.petspark.auth(), email, TestApp::PASSWORD, ip).await
}

async fn counted(petspark: &PetSpark, bucket: Bucket) -> Vec<u64> {
    let throttles = petspark.auth().list_throttles(&Caller::operator("test"), None).await.unwrap();
    throttles.into_iter().filter(|throttled| throttled.bucket == bucket).map(|throttled| throttled.count).collect()
}

const ADA: &str = "ada@example.org";

on_both! {
    async fn asvs_6_3_1_the_sixth_guess_waits_and_so_does_the_right_password_but_not_elsewhere(app: TestApp) {
        app.register("ada").await;
        for _ in 0..5 {
            assert_eq!(guess(&app, ADA, "203.0.113.5").await, "AUTH_001");
        }
        let refused = try_password(app.petspark.auth(), ADA, "a wrong guess of it", "203.0.113.5").await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::RateLimited, "RATE_LIMITED"));
        assert_eq!(refused.retry_after(), Some(15 * MINUTE));
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "wait 900");
        // In any notation of either.
        assert_eq!(sign_in(&app, " ADA@Example.ORG", "::ffff:203.0.113.5").await, "wait 900");
        assert_eq!(sign_in(&app, ADA, "203.0.113.6").await, "ok");
        // A refused attempt prolongs nothing.
        app.clock.advance(14 * MINUTE);
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "wait 60");
        app.clock.advance(MINUTE);
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "ok");
    }

    async fn an_ipv6_customer_has_one_address(app: TestApp) {
        app.register("ada").await;
        for host in 1..=5 {
            assert_eq!(guess(&app, ADA, &format!("2001:db8:1:2::{host}")).await, "AUTH_001");
        }
        assert_eq!(sign_in(&app, ADA, "2001:db8:1:2:ffff::1").await, "wait 900");
        assert_eq!(sign_in(&app, ADA, "2001:db8:1:3::1").await, "ok");
    }

    async fn of_fifty_guesses_at_the_same_moment_five_are_looked_at(app: TestApp) {
        app.register("ada").await;
        let before = app.petspark.auth().hashes_for_tests();
        let outcomes = join_all((0..50).map(|_| guess(&app, ADA, "203.0.113.5"))).await;
        let count = |wanted: &str| outcomes.iter().filter(|outcome| *outcome == wanted).count();
        assert_eq!((count("AUTH_001"), count("wait 900")), (5, 45), "{outcomes:?}");
        assert_eq!(app.petspark.auth().hashes_for_tests() - before, 5);
        assert_eq!((counted(&app.petspark, Bucket::Pair).await, counted(&app.petspark, Bucket::Ip).await), (vec![5], vec![5]));
    }

    async fn servers_on_one_database_count_together_and_a_restart_forgives_nothing(app: TestApp) {
        app.register("ada").await;
        for _ in 0..3 {
            guess(&app, ADA, "203.0.113.5").await;
        }
        let other = app.another().await;
        for _ in 0..2 {
            assert_eq!(outcome(other.auth(), ADA, "a wrong guess of it", "203.0.113.5").await, "AUTH_001");
        }
        other.close().await;
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "wait 900");
        let restarted = app.another().await;
        assert_eq!(outcome(restarted.auth(), ADA, TestApp::PASSWORD, "203.0.113.5").await, "wait 900");
        restarted.close().await;
    }

    async fn signing_in_forgives_ones_own_failures_and_nobody_elses(app: TestApp) {
        app.register("ada").await;
        app.register("mallory").await;
        for _ in 0..4 {
            guess(&app, ADA, "203.0.113.5").await;
        }
        // Between guesses at somebody else a guesser signs in to an account of their own.
        assert_eq!(sign_in(&app, "mallory@example.org", "203.0.113.5").await, "ok");
        assert_eq!(counted(&app.petspark, Bucket::Ip).await, [4]);
        assert_eq!(guess(&app, ADA, "203.0.113.5").await, "AUTH_001");
        assert_eq!(guess(&app, ADA, "203.0.113.5").await, "wait 900");

        for _ in 0..4 {
            guess(&app, ADA, "203.0.113.6").await;
        }
        assert_eq!(sign_in(&app, ADA, "203.0.113.6").await, "ok");
        for _ in 0..5 {
            assert_eq!(guess(&app, ADA, "203.0.113.6").await, "AUTH_001");
        }
        // Others' failures on the account still count.
        assert_eq!(counted(&app.petspark, Bucket::Account).await, [14]);
    }

    async fn an_account_is_slowed_down_for_strangers_and_never_locked_nor_slow_for_its_owner(app: TestApp) {
        app.register("ada").await;
        assert_eq!(sign_in(&app, ADA, "198.51.100.1").await, "ok");
        for n in 0..10 {
            assert_eq!(guess(&app, ADA, &format!("203.0.113.{n}")).await, "AUTH_001");
        }
        assert_eq!(guess(&app, ADA, "203.0.113.20").await, "wait 1");
        // The owner is at home, and doesn't notice.
        assert_eq!(sign_in(&app, ADA, "198.51.100.1").await, "ok");
        for (n, wait) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let ip = format!("203.0.113.{}", 30 + n);
            app.clock.advance(Duration::from_secs(wait) - Duration::from_millis(1));
            assert_eq!(guess(&app, ADA, &ip).await, "wait 1", "after {wait} s less a bit");
            app.clock.advance(Duration::from_millis(1));
            assert_eq!(guess(&app, ADA, &ip).await, "AUTH_001", "after {wait} s");
        }
        // Elsewhere they wait a minute at most, however long it went on.
        app.clock.advance(MINUTE);
        assert_eq!(sign_in(&app, ADA, "192.0.2.1").await, "ok");
    }

    async fn of_guesses_from_many_addresses_at_the_same_moment_one_is_looked_at_when_the_account_is_slow(app: TestApp) {
        app.register("ada").await;
        for n in 0..10 {
            guess(&app, ADA, &format!("203.0.113.{n}")).await;
        }
        app.clock.advance(Duration::from_secs(2));
        let ips: Vec<String> = (100..120).map(|n| format!("203.0.113.{n}")).collect();
        let outcomes = join_all(ips.iter().map(|ip| guess(&app, ADA, ip))).await;
        assert_eq!(outcomes.iter().filter(|outcome| *outcome == "AUTH_001").count(), 1, "{outcomes:?}");
    }

    async fn an_address_that_fails_on_many_accounts_is_refused(app: TestApp) {
        app.register("ada").await;
        for n in 0..10 {
            for _ in 0..3 {
                assert_eq!(guess(&app, &format!("user{n}@example.org"), "203.0.113.5").await, "AUTH_001");
            }
        }
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "wait 900");
        assert_eq!(sign_in(&app, ADA, "203.0.113.6").await, "ok");
        app.clock.advance(15 * MINUTE);
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "ok");
    }

    async fn an_address_that_tries_fifteen_accounts_in_vain_is_refused_for_an_hour(app: TestApp) {
        app.register("ada").await;
        for n in 0..14 {
            assert_eq!(guess(&app, &format!("user{n}@example.org"), "203.0.113.5").await, "AUTH_001");
            app.clock.advance(10 * MINUTE);
        }
        // The same ones again are no more accounts, and one who mistypes first is none either.
        guess(&app, "user13@example.org", "203.0.113.5").await;
        guess(&app, ADA, "203.0.113.4").await;
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "ok");
        assert_eq!(guess(&app, "user14@example.org", "203.0.113.5").await, "AUTH_001");
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "wait 3600");
        assert_eq!(sign_in(&app, ADA, "203.0.113.6").await, "ok");
        app.clock.advance(60 * MINUTE);
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "ok");
    }

    async fn asvs_6_3_8_an_unknown_address_is_answered_throttled_and_hashed_like_a_known_one(app: TestApp) {
        app.register("ada").await;
        let mut seen = Vec::new();
        for email in [ADA, "nobody@example.org", "no address at all"] {
            let before = app.petspark.auth().hashes_for_tests();
            let mut outcomes = Vec::new();
            for _ in 0..7 {
                let error = try_password(app.petspark.auth(), email, "a wrong guess of it", "203.0.113.5").await.unwrap_err();
                outcomes.push((error.code(), error.to_string(), error.retry_after(), error.details()));
            }
            seen.push((outcomes, app.petspark.auth().hashes_for_tests() - before));
        }
        assert_eq!(seen[0].1, 5);
        assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
    }

    async fn registrations_are_limited_by_ip_address_and_by_e_mail_address(app: TestApp) {
        let account = |email: &str| NewAccount {
            email: email.to_owned(),
            password: Password::new(TestApp::PASSWORD),
            display_name: "A".to_owned(),
        };
        let mut settings = app.petspark.settings().clone();
        settings.auth.throttle = petspark_core::auth::ThrottleSettings::default();
        let petspark = PetSpark::open_with(settings, petspark_core::Migrate::Never, app.clock.clone()).await.unwrap();
        for n in 0..5 {
            petspark.auth().register(account(&format!("user{n}@example.org")), from("203.0.113.5")).await.unwrap();
        }
        let sixth = petspark.auth().register(account("user5@example.org"), from("203.0.113.5")).await.unwrap_err();
        assert_eq!(sixth.retry_after(), Some(15 * MINUTE));
        assert!(matches!(
            petspark.auth().register(account("user5@example.org"), from("203.0.113.6")).await,
            Ok(Registered::SignedIn(_))
        ));
        for n in 0..2 {
            let error = petspark.auth().register(account("USER5@example.org"), from(&format!("203.0.113.{}", 10 + n))).await.unwrap_err();
            assert_eq!(error.code(), "AUTH_002");
        }
        let error = petspark.auth().register(account("user5@example.org"), from("203.0.113.20")).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(60 * MINUTE));
        petspark.close().await;
    }

    async fn in_strict_mode_successes_count_too(app: TestApp) {
        app.register("ada").await;
        let mut settings = app.petspark.settings().clone();
        settings.auth.throttle.strict = true;
        let strict = PetSpark::open_with(settings, petspark_core::Migrate::Never, app.clock.clone()).await.unwrap();
        for _ in 0..5 {
            assert_eq!(outcome(strict.auth(), ADA, TestApp::PASSWORD, "203.0.113.5").await, "ok");
        }
        assert_eq!(outcome(strict.auth(), ADA, TestApp::PASSWORD, "203.0.113.5").await, "wait 900");
        strict.close().await;
    }

    async fn an_operator_sees_and_lifts_what_is_refused(app: TestApp) {
        let ada = app.register("ada").await;
        let operator = Caller::operator("cli:test@host");
        let fill = async |email: &str, ip: &str| {
            for _ in 0..5 {
                guess(&app, email, ip).await;
            }
        };
        fill(ADA, "203.0.113.5").await;
        fill("nobody@example.org", "2001:db8:1:2::7").await;
        let auth = app.petspark.auth();
        let refused = |list: Vec<petspark_core::auth::Throttled>| list.into_iter().filter(|one| one.refused_until.is_some()).count();
        assert_eq!(refused(auth.list_throttles(&operator, None).await.unwrap()), 2);
        let of_ada = auth.list_throttles(&operator, Some(&ada.id.to_string())).await.unwrap();
        assert_eq!(of_ada.iter().map(|one| (one.bucket, one.count)).collect::<Vec<_>>(), [(Bucket::Account, 5), (Bucket::Register, 1), (Bucket::Pair, 5)]);
        assert_eq!(auth.list_throttles(&ada.caller, None).await.unwrap_err().code(), "ADMIN_001");

        let of_ada = WhichThrottles::User(ADA.to_owned());
        assert_eq!(auth.preview_clear_throttles(&operator, &of_ada).await.unwrap(), 3);
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "wait 900");
        assert_eq!(auth.clear_throttles(&operator, &of_ada).await.unwrap(), 3);
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "ok");

        let network = WhichThrottles::network("2001:db8:1::/48").unwrap();
        assert_eq!(auth.clear_throttles(&operator, &network).await.unwrap(), 2);
        assert_eq!(guess(&app, "nobody@example.org", "2001:db8:1:2::7").await, "AUTH_001");
        assert!(auth.clear_throttles(&operator, &WhichThrottles::All).await.unwrap() > 0);
        assert!(auth.list_throttles(&operator, None).await.unwrap().is_empty());
        for nobody in [WhichThrottles::User("nonsense".to_owned()), WhichThrottles::User(petspark_core::UserId::new().to_string())] {
            assert!(matches!(auth.clear_throttles(&operator, &nobody).await, Err(AuthError::Invalid(_) | AuthError::UserNotFound)));
        }
        assert_eq!(auth.clear_throttles(&ada.caller, &WhichThrottles::All).await.unwrap_err().code(), "ADMIN_001");
    }

    async fn asvs_16_3_1_every_attempt_is_written_down_and_a_flood_of_refused_ones_by_its_size(app: TestApp) {
        let ada = app.register("ada").await;
        guess(&app, "nobody@example.org", "203.0.113.5").await;
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "ok");
        for _ in 0..(5 + 120) {
            guess(&app, ADA, "203.0.113.5").await;
        }
        let page = petspark_core::PageRequest::first(100).unwrap();
        let operator = Caller::operator("test");
        let entries = app.petspark.audit().list(&operator, AuditFilter::default(), &page).await.unwrap().items;
        let of = |action: Action| entries.iter().rev().filter(move |entry| entry.action == action.as_str());
        let about_ada = Some(format!("user:{}", ada.id));
        let failed: Vec<_> = of(Action::LoginFail).map(|entry| (&entry.subject, entry.succeeded)).collect();
        assert_eq!(failed.len(), 6);
        assert_eq!((failed[0], failed[1]), ((&None, false), (&about_ada, false)));
        assert_eq!(of(Action::LoginSuccess).map(|entry| &entry.subject).collect::<Vec<_>>(), [&about_ada]);
        assert_eq!(of(Action::UserCreated).map(|entry| &entry.subject).collect::<Vec<_>>(), [&about_ada]);
        let refused: Vec<_> = of(Action::LoginFailMax).map(|entry| entry.details["refused"].as_u64().unwrap()).collect();
        assert_eq!(refused, [1, 10, 100]);
        assert!(of(Action::LoginFailMax).all(|entry| entry.ip.as_deref() == Some("203.0.113.5") && !entry.succeeded));
    }

    async fn asvs_6_2_1_and_6_2_4_and_6_2_11_a_password_that_is_short_common_or_ones_own_makes_no_account(app: TestApp) {
        for bad in ["1g7.vb!", "trustno1", "TRUSTNO1", "petspark2026", "ada.lovelace"] {
            let account = NewAccount {
                email: "ada.lovelace@example.org".to_owned(),
                password: Password::new(bad),
                display_name: "Ada".to_owned(),
            };
            let error = app.petspark.auth().register(account, Client::default()).await.unwrap_err();
            assert!(error.fields().is_some_and(|fields| fields.iter().any(|(field, _)| field == "password")), "{bad}: {error}");
        }
    }

    async fn asvs_6_2_8_and_6_2_9_and_6_2_10_a_password_counts_as_typed_however_long_and_for_ever(app: TestApp) {
        for (n, length) in [64, 200].into_iter().enumerate() {
            let password = "Correct horse 🐕 ".chars().cycle().take(length).collect::<String>();
            let email = format!("user{n}@example.org");
            let account =
                NewAccount { email: email.clone(), password: Password::new(&*password), display_name: "A".to_owned() };
            app.petspark.auth().register(account, Client::default()).await.unwrap();
            app.clock.advance(5 * 365 * 24 * 60 * MINUTE);
            let with = async |password: &str| outcome(app.petspark.auth(), &email, password, "203.0.113.5").await;
            let mut other: Vec<char> = password.chars().collect();
            other[length - 1] = '!';
            for wrong in [password.to_lowercase(), format!("{password} "), other.into_iter().collect()] {
                assert_eq!(with(&wrong).await, "AUTH_001");
            }
            assert_eq!(with(&password).await, "ok");
        }
        // Too long to be anybody's: not even hashed.
        let before = app.petspark.auth().hashes_for_tests();
        assert_eq!(outcome(app.petspark.auth(), ADA, &"x".repeat(2048), "203.0.113.5").await, "AUTH_001");
        assert_eq!(app.petspark.auth().hashes_for_tests(), before);
    }

    async fn a_registration_that_is_to_be_verified_first_does_not_tell_who_has_an_account(app: TestApp) {
        let mut settings = app.petspark.settings().clone();
        settings.auth.register_mode = RegisterMode::VerifyFirst;
        let petspark = PetSpark::open_with(settings, petspark_core::Migrate::Never, app.clock.clone()).await.unwrap();
        let auth = petspark.auth();
        let register = async |password: &str| {
            let before = auth.hashes_for_tests();
            let account = NewAccount {
                email: ADA.to_owned(),
                password: Password::new(password),
                display_name: "A".to_owned(),
            };
            assert!(matches!(auth.register(account, from("203.0.113.5")).await, Ok(Registered::VerificationSent)));
            assert_eq!(auth.hashes_for_tests() - before, 1);
        };
        register(TestApp::PASSWORD).await;
        register("another long password").await;
        // Whether it is verified is told to nobody but who knows the password.
        assert_eq!(outcome(auth, ADA, "another long password", "203.0.113.5").await, "AUTH_001");
        assert_eq!(outcome(auth, ADA, TestApp::PASSWORD, "203.0.113.5").await, "AUTH_011");
        let mails: Vec<_> = app.mails().await.into_iter().map(|mail| (mail.to, mail.template)).collect();
        assert_eq!(mails, [(ADA.to_owned(), Template::VerifyEmail), (ADA.to_owned(), Template::AlreadyRegistered)]);
        let operator = Caller::operator("test");
        let ada = auth.get_user(&operator, ADA).await.unwrap();
        auth.set_email_verified(&operator, ada.id).await.unwrap();
        assert_eq!(outcome(auth, ADA, TestApp::PASSWORD, "203.0.113.5").await, "ok");
        petspark.close().await;
    }

    async fn a_suspension_ends_by_itself_and_is_told_to_who_knows_the_password_only(app: TestApp) {
        let ada = app.register("ada").await;
        let until = Some(app.clock.now().after(MINUTE));
        let change = UserChange {
            role: None,
            role_reason: None,
            status: Some(StatusChange { status: UserStatus::Suspended, until, reason: Some("spam".to_owned()) }),
        };
        app.petspark.auth().change_user(&Caller::operator("test"), ada.id, &change, false).await.unwrap();
        assert_eq!(guess(&app, ADA, "203.0.113.5").await, "AUTH_001");
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "AUTH_012");
        app.clock.advance(MINUTE);
        assert_eq!(sign_in(&app, ADA, "203.0.113.5").await, "ok");
        let me = app.petspark.auth().get_user(&Caller::operator("test"), ADA).await.unwrap();
        assert_eq!(me.status, UserStatus::Active);
    }
}
