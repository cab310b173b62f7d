-- What is over is looked for by when it ended, not by reading everything.
CREATE INDEX sessions_absolute_expires_at_idx ON sessions (absolute_expires_at);
CREATE INDEX second_factor_challenges_expires_at_idx ON second_factor_challenges (expires_at);
CREATE INDEX jobs_dead_at_idx ON jobs (dead_at) WHERE dead_at IS NOT NULL;
