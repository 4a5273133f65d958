package fence

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// settleEvery is how often a device is asked whether its host is off: many
	// answer an off before the power is gone.
	settleEvery = 250 * time.Millisecond
	// settleFor bounds that; a host that is told to go down by software takes
	// longer, which is no fencing.
	settleFor = 10 * time.Second
)

// Off takes the host's power and does not return nil before the device says,
// twice in a row, that it has none.
func (a *Agent) Off(ctx context.Context) error {
	var errs []error
	for try := 1; try <= max(1, a.cfg.Tries); try++ {
		err := a.offOnce(ctx)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("try %d: %w", try, err))
		a.log.Warn("fence: not off", "agent", a.Name(), "try", try, "error", err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (a *Agent) offOnce(ctx context.Context) error {
	if err := a.do(ctx, ActionOff); err != nil {
		// A device whose off fails may still say off: of a broken device that is
		// not worth more than its off.
		if power, ask := a.Status(ctx); ask == nil && power == PowerOff {
			return fmt.Errorf("%w: status says off, but %w", ErrLied, err)
		}
		return err
	}
	var trial Trial
	if trial.Off() {
		return nil
	}
	for deadline := time.Now().Add(min(settleFor, a.cfg.Timeout)); ; {
		power, err := a.Status(ctx)
		if trial.Status(power) {
			return nil
		}
		if power == PowerOff {
			continue
		}
		if err == nil && time.Now().After(deadline) {
			return fmt.Errorf("%w: %s off succeeded, but status says %v", ErrLied, a.Name(), power)
		}
		if err != nil && time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
	}
}
