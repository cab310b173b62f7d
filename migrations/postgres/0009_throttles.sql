-- How often something was tried, for limits that all servers share. Counted per bucket, and in it
-- by whom it is about (subject: an HMAC of an e-mail address, 16 bytes, empty for nobody in
-- particular) and from where (ip: the client's address, an IPv6 one cut to its /64, empty for
-- anywhere). A row stays for some hours after ends_at, then it is purged.
CREATE TABLE throttles (
    bucket      text        NOT NULL,
    subject     bytea       NOT NULL,
    ip          text        NOT NULL,
    count       bigint      NOT NULL,
    ends_at     timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    previous_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, subject, ip)
);

CREATE INDEX throttles_ip_idx ON throttles (ip);
CREATE INDEX throttles_subject_idx ON throttles (subject);
CREATE INDEX throttles_ends_at_idx ON throttles (ends_at);
