-- +goose Up

alter table accounts add rate double precision not null default 0; -- messages per second, 0 for no bound

-- When the next message under a bound may go: see store.Reserve. Unlogged: after a
-- crash the bounds begin anew, and taking a place costs no wait for the disk.
create unlogged table throttles (
  name    text primary key, -- such as "account 7"
  free_at timestamptz not null
) with (fillfactor = 10);
