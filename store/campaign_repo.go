package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
)

// CreateCampaign keeps a new draft.
func (s *Store) CreateCampaign(ctx context.Context, sc Scope, c Campaign) (Campaign, error) {
	at := now()
	c.PublicID, c.AccountID, c.Mode, c.Version = newID("cmp"), sc.Account, sc.Mode, 1
	c.Status, c.CreatedAt, c.UpdatedAt = Draft, at, at
	c.SetSchedule(c.ScheduledAt)
	if err := faulty(c.check()...); err != nil {
		return Campaign{}, err
	}
	c.Search, c.ScheduleCheck = fold(c.Name), c.ScheduledAhead
	err := s.write(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(&c).Error; err != nil {
			return fmt.Errorf("create campaign: %w", err)
		}
		return s.loadBlockers(tx, &c)
	})
	return c, err
}

// Campaign is one campaign with its blockers.
func (s *Store) Campaign(ctx context.Context, sc Scope, id string) (c Campaign, err error) {
	q := s.read(ctx)
	if err := q.Where(sc.in()).Where("public_id = ?", id).Take(&c).Error; err != nil {
		return Campaign{}, missing(err, "campaign", id)
	}
	return c, s.loadBlockers(q, &c)
}

// CampaignFilter narrows a list of campaigns; what is empty does not.
type CampaignFilter struct {
	Search  string // part of the name
	Status  Status
	Channel Channel
}

// Campaigns lists campaigns with their blockers, newest first.
func (s *Store) Campaigns(ctx context.Context, sc Scope, f CampaignFilter, p Page) (cs []Campaign, next string, err error) {
	q := searching(s.read(ctx).Where(sc.in()), f.Search)
	if f.Status != "" {
		q = q.Where("status = ?", f.Status)
	}
	if f.Channel != "" {
		q = q.Where("channel = ?", f.Channel)
	}
	cs, next, err = pageOf(ctx, s, q, sc, "campaigns", p, newestFirst, scopeKey, func(c *Campaign) int64 { return c.ID })
	if err != nil {
		return nil, "", fmt.Errorf("list campaigns: %w", err)
	}
	refs := make([]*Campaign, len(cs))
	for i := range cs {
		refs[i] = &cs[i]
	}
	return cs, next, s.loadBlockers(s.read(ctx), refs...)
}

// UpdateCampaign loads, changes, checks and saves a campaign under one lock,
// with all that its new status asks for. change gets the campaign with its
// blockers; what it returns undoes everything. One that changes nothing keeps
// the version and tells nobody.
func (s *Store) UpdateCampaign(ctx context.Context, sc Scope, id string, change func(*Campaign) error) (c Campaign, err error) {
	c, _, err = s.updateCampaign(ctx, func(q *gorm.DB) *gorm.DB {
		return q.Where(sc.in()).Where("public_id = ?", id)
	}, id, change)
	return c, err
}

func (s *Store) updateCampaign(ctx context.Context, which func(*gorm.DB) *gorm.DB, id string, change func(*Campaign) error) (c Campaign, changed bool, err error) {
	err = s.write(ctx, func(tx *gorm.DB) error {
		if err := which(s.locked(tx)).Take(&c).Error; err != nil {
			return missing(err, "campaign", id)
		}
		if err := s.loadBlockers(tx, &c); err != nil {
			return err
		}
		before, was, blocked := c.configuration(), c.Status, c.Blockers
		c.ScheduleCheck = true // what writes to a campaign asks the scheduler to look
		if err := change(&c); err != nil {
			return err
		}
		if err := s.checkChange(tx, &c, was, blocked); err != nil {
			return err
		}
		c.ScheduleCheck = c.ScheduleCheck && c.ScheduledAhead && c.Status == Draft
		if changed = c.configuration() != before; !changed {
			return tx.Model(&c).Select("schedule_check").UpdateColumns(&c).Error
		}
		return s.saveCampaign(tx, &c)
	})
	if err == nil && changed {
		s.announce(c.ID)
	}
	return c, changed, err
}

// configuration is all of a campaign that counts as a change, comparable.
func (c *Campaign) configuration() string {
	k := *c
	k.Search, k.Version, k.UpdatedAt, k.ScheduleCheck, k.Blockers = "", 0, time.Time{}, false, nil
	b, err := json.Marshal(&k)
	if err != nil {
		panic(fmt.Sprintf("a campaign holds what JSON cannot say: %v", err))
	}
	return string(b)
}

// checkChange checks a campaign that was in another status and had other
// blockers. What has begun is not checked again: nothing must stand in the way
// of a cancellation.
func (s *Store) checkChange(tx *gorm.DB, c *Campaign, was Status, blocked []Blocker) error {
	if was == Draft || was == Scheduled {
		if err := faulty(c.check()...); err != nil {
			return err
		}
	}
	if err := s.loadBlockers(tx, c); err != nil {
		return err
	}
	if was == Scheduled && c.Status == Scheduled {
		return c.refuse("schedule", func(b Blocker) bool { return !slices.ContainsFunc(blocked, b.same) })
	}
	return nil
}

// saveCampaign keeps a changed campaign and freezes its content when it begins
// to send.
func (s *Store) saveCampaign(tx *gorm.DB, c *Campaign) error {
	c.Search, c.Version, c.UpdatedAt = fold(c.Name), c.Version+1, now()
	if c.Status == Sending && c.Audience == nil {
		if err := s.freezeContent(tx, c); err != nil {
			return err
		}
	}
	// Columns: GORM would put a time of its own into updated_at.
	if err := tx.Select("*").UpdateColumns(c).Error; err != nil {
		return fmt.Errorf("save campaign: %w", err)
	}
	return s.announceTx(tx, c.ID)
}

// DeleteCampaign removes a campaign, if permit lets it: see Discard.
func (s *Store) DeleteCampaign(ctx context.Context, sc Scope, id string, permit func(*Campaign) error) error {
	return s.write(ctx, func(tx *gorm.DB) error {
		var c Campaign
		if err := s.locked(tx).Where(sc.in()).Where("public_id = ?", id).Take(&c).Error; err != nil {
			return missing(err, "campaign", id)
		}
		if err := permit(&c); err != nil {
			return err
		}
		return tx.Where("id = ?", c.ID).Delete(&Campaign{}).Error
	})
}

// campaignByKey finds a campaign by its integer key, for the engine, which
// works for all accounts.
func (s *Store) campaignByKey(q *gorm.DB, id int64) (c Campaign, err error) {
	err = q.Where("id = ?", id).Take(&c).Error
	return c, missing(err, "campaign", fmt.Sprint(id))
}

// ScheduleGrace is how late a scheduled campaign is still sent, after an outage.
const ScheduleGrace = time.Hour

// RunSchedule schedules the drafts that are ready and starts the campaigns that
// are due; what is too late or blocked by then goes back to draft. It returns
// how many changed. Any number of processes may run it at once.
func (s *Store) RunSchedule(ctx context.Context) (changed int, err error) {
	const batch = 100
	passes := []struct {
		where  string // literally as in the index, and so is the order
		args   []any
		order  string
		change func(*Campaign) error
	}{
		{"status = 'draft' AND schedule_check", nil, "id", arm},
		{"status = 'scheduled' AND scheduled_at <= ?", []any{now()}, "scheduled_at", fire},
	}
	var failed error // one campaign's failure must not hold up the others
	for _, p := range passes {
		var ids []int64
		if err := s.read(ctx).Model(&Campaign{}).Where(p.where, p.args...).Order(p.order).Limit(batch).Pluck("id", &ids).Error; err != nil {
			return changed, fmt.Errorf("look for campaigns to schedule: %w", err)
		}
		for _, id := range ids {
			_, done, err := s.updateCampaign(ctx, func(q *gorm.DB) *gorm.DB { return q.Where("id = ?", id) }, fmt.Sprint(id), p.change)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("campaign %d: %w", id, err))
			}
			if done {
				changed++
			}
		}
	}
	return changed, failed
}

// arm schedules a draft whose time is to come and that nothing blocks; else it
// waits for the next write.
func arm(c *Campaign) error {
	c.ScheduleCheck = false
	if c.Status == Draft && c.ScheduledAhead && c.ready("schedule") == nil {
		c.Status = Scheduled
	}
	return nil
}

// fire starts a campaign that is due.
func fire(c *Campaign) error {
	if c.Status != Scheduled || c.ScheduledAt.After(now()) {
		return nil
	}
	if now().Sub(*c.ScheduledAt) > ScheduleGrace || c.Send() != nil {
		c.miss()
	}
	return nil
}
