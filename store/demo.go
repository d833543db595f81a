package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// The public ids of the demo, as the API's reference has them in its examples.
const (
	DemoSegment  = "seg_abc123"
	DemoList     = "lst_abc123"
	DemoTemplate = "tpl_abc123"
	DemoCampaign = "cmp_abc123"
)

// SeedDemo puts the data of development mode into the database, all of it in
// test mode: an account "demo" with the given key, made-up contacts, a list, a
// segment and a template, as far as they are missing, and a draft campaign. The
// campaign is made again whatever became of it, and everything of its earlier
// life goes: messages, counters, receipts to come.
//
// No process that sends may be at work on the database meanwhile.
func (s *Store) SeedDemo(ctx context.Context, key string) error {
	err := s.write(ctx, func(tx *gorm.DB) error {
		sc, err := demoAccount(tx, key)
		if err != nil {
			return err
		}
		for _, seed := range []func(*gorm.DB, Scope) error{seedContacts, s.seedList, seedSegment, seedTemplate, seedCampaign} {
			if err := seed(tx, sc); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make the demo's data: %w", err)
	}
	return nil
}

// demoAccount finds the account by its key, which works again if it was revoked,
// or makes both.
func demoAccount(tx *gorm.DB, key string) (Scope, error) {
	var k Key
	err := tx.Where("hash = ?", hashKey(key)).Take(&k).Error
	if err == nil {
		sc := k.Scope()
		return sc, tx.Model(&Key{}).Where("id = ?", k.ID).UpdateColumns(map[string]any{"revoked_at": nil, "expires_at": nil}).Error
	}
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return Scope{}, err
	}
	a := Account{PublicID: newID("acc"), Name: "demo", CreatedAt: now()}
	if err := tx.Create(&a).Error; err != nil {
		return Scope{}, err
	}
	k = Key{
		PublicID: newID("key"), AccountID: a.ID, Mode: Test, Name: "development mode",
		Hash: hashKey(key), Hint: hintOf(key), Scopes: AllScopes, CreatedAt: now(),
	}
	return k.Scope(), tx.Create(&k).Error
}

// absentDemo says whether the account has nothing of T under the public id yet.
func absentDemo[T any](tx *gorm.DB, sc Scope, id string) (bool, error) {
	var n int64
	err := tx.Model(new(T)).Where(sc.in()).Where("public_id = ?", id).Count(&n).Error
	return n == 0, err
}

func seedContacts(tx *gorm.DB, sc Scope) error {
	var n int64
	if err := tx.Model(&Contact{}).Where(sc.in()).Limit(1).Count(&n).Error; err != nil || n > 0 {
		return err
	}
	cs, err := demoContacts(sc, now())
	if err != nil {
		return err
	}
	return tx.CreateInBatches(cs, 500).Error
}

// seedList makes a list of the contacts with the tag "vip".
func (s *Store) seedList(tx *gorm.DB, sc Scope) error {
	absent, err := absentDemo[List](tx, sc, DemoList)
	if err != nil || !absent {
		return err
	}
	l := List{PublicID: DemoList, AccountID: sc.Account, Mode: sc.Mode, Name: "Loyal customers", CreatedAt: now(), UpdatedAt: now()}
	if err := faulty(l.normalise()...); err != nil {
		return err
	}
	if err := tx.Create(&l).Error; err != nil {
		return err
	}
	vip := "vip"
	where, args, err := s.ruleWhere(Rule{Tag: &vip, Operator: "has"})
	if err != nil {
		return err
	}
	return tx.Exec("INSERT INTO list_members (list_id, contact_id) SELECT ?, id FROM contacts WHERE account_id = ? AND mode = ? AND "+where,
		append([]any{l.ID, sc.Account, sc.Mode}, args...)...).Error
}

func seedSegment(tx *gorm.DB, sc Scope) error {
	absent, err := absentDemo[Segment](tx, sc, DemoSegment)
	if err != nil || !absent {
		return err
	}
	tag := "spring"
	g := Segment{
		PublicID: DemoSegment, AccountID: sc.Account, Mode: sc.Mode, Name: "Spring shoppers",
		Rule: Rule{Tag: &tag, Operator: "has"}, CreatedAt: now(), UpdatedAt: now(),
	}
	if err := faulty(g.normalise()...); err != nil {
		return err
	}
	return tx.Create(&g).Error
}

func seedTemplate(tx *gorm.DB, sc Scope) error {
	absent, err := absentDemo[Template](tx, sc, DemoTemplate)
	if err != nil || !absent {
		return err
	}
	t := Template{
		PublicID: DemoTemplate, AccountID: sc.Account, Mode: sc.Mode, Name: "Spring promo", Channel: SMS, ContentType: PlainText,
		Body:      `Hi {{ first_name | default: "there" }}, 20% off this spring in our shop in {{ attributes.city }}!`,
		CreatedAt: now(), UpdatedAt: now(),
	}
	if err := faulty(t.normalise()...); err != nil {
		return err
	}
	return tx.Create(&t).Error
}

func seedCampaign(tx *gorm.DB, sc Scope) error {
	if err := forgetCampaign(tx, sc, DemoCampaign); err != nil {
		return err
	}
	segment, body := DemoSegment, "Hi {{first_name}}, enjoy 20% off this spring!"
	at := time.Date(2026, 3, 15, 9, 0, 0, 0, time.UTC)
	c := Campaign{
		PublicID: DemoCampaign, AccountID: sc.Account, Mode: sc.Mode, Version: 1, Status: Draft,
		Name: "Spring Promo 2026", Channel: SMS, SegmentID: &segment, Body: &body, CreatedAt: now(), UpdatedAt: now(),
	}
	c.SetSchedule(&at)
	if err := faulty(c.check()...); err != nil {
		return err
	}
	c.Search, c.ScheduleCheck = fold(c.Name), c.ScheduledAhead
	return tx.Create(&c).Error
}

// forgetCampaign deletes a campaign, in whatever status, and all that was
// recorded of it.
func forgetCampaign(tx *gorm.DB, sc Scope, id string) error {
	var c Campaign
	err := tx.Where(sc.in()).Where("public_id = ?", id).Take(&c).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, table := range []string{"receipts", "retries", "messages", "campaign_chunks"} { // what no foreign key ties to it
		if err := tx.Exec("DELETE FROM "+table+" WHERE campaign_id = ?", c.ID).Error; err != nil {
			return err
		}
	}
	return tx.Where("id = ?", c.ID).Delete(&Campaign{}).Error
}
