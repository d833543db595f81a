-- +goose Up

-- Calls that their callers may repeat, with what was answered: see store.Once.
create table idempotency_keys (
  account_id  bigint not null references accounts,
  mode        smallint not null,
  request     blob not null, -- SHA-256 of method, path and the caller's key
  fingerprint blob not null, -- SHA-256 of what was sent
  answer      blob,
  import_id   bigint references imports on delete cascade, -- the answer of a call that makes an import
  created_at  datetime not null,
  primary key (account_id, mode, request)
);
create index idempotency_keys_age on idempotency_keys (created_at);
create index idempotency_keys_import on idempotency_keys (import_id) where import_id is not null;

alter table api_keys add last_used_at datetime; -- to the minute
