-- +goose Up

-- Receipts are taken in this order: many are due at the same time.
drop index receipts_due;
create index receipts_due on receipts (not_before, id);

-- Few messages end in another way than sent or delivered. To find those few, a
-- page of them would read all messages of the campaign.
create index messages_rare on messages (campaign_id, status, contact_id) where status > 2;

-- So that the primary key cannot be taken for it: see store.scopeKey.
drop index contacts_scope;
create index contacts_scope on contacts (account_id, mode, (id + 0));
drop index lists_scope;
create index lists_scope on lists (account_id, mode, (id + 0));
drop index segments_scope;
create index segments_scope on segments (account_id, mode, (id + 0));
drop index templates_scope;
create index templates_scope on templates (account_id, mode, (id + 0));
drop index imports_scope;
create index imports_scope on imports (account_id, mode, (id + 0));
drop index campaigns_scope;
create index campaigns_scope on campaigns (account_id, mode, (id + 0));
