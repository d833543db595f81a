-- +goose Up

-- Who sent the receipt; '' for one that came before this was kept.
alter table receipts add carrier text not null default '';
