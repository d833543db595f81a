-- +goose Up

alter table campaign_chunks add unknown int not null default 0; -- of the accepted: handed over, and nobody knows
