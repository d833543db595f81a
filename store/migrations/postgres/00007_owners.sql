-- +goose Up

-- Who holds what, and which process that is: another on its machine can tell that
-- it has ended, and need not wait for its leases.
alter table campaign_chunks add owner text;
alter table retries add owner text;
alter table workers add process text not null default '';
