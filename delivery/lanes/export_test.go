package lanes

import "fmt"

const BareCost = bareCost

// Audit tells the test what memory holds, and what in it contradicts itself.
func (s *Store) Audit(end bool) (held, lanes, rows int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inFlight, inDB, bare := map[*lane]int{}, map[*lane]int{}, map[*lane]int{}
	bareBytes := 0
	for seq, r := range s.rows {
		if seq != r.Seq || r.state == gone {
			return 0, 0, 0, fmt.Errorf("row %d is filed as %d, state %d", r.Seq, seq, r.state)
		}
		if s.lanes[r.lane.name] != r.lane {
			return 0, 0, 0, fmt.Errorf("row %d is of a lane that was forgotten", seq)
		}
		switch r.state {
		case leased:
			inFlight[r.lane]++
		case waiting, settling:
		}
		if r.indexed {
			inDB[r.lane]++
		}
		if r.bare > 0 && r.state == waiting {
			bare[r.lane]++
			bareBytes += bareCost
		}
	}
	for _, l := range s.lanes {
		switch {
		case l.inFlight != inFlight[l]:
			err = fmt.Errorf("lane %s counts %d in flight, there are %d", l.name, l.inFlight, inFlight[l])
		case l.bare != bare[l]:
			err = fmt.Errorf("lane %s counts %d bare rows, there are %d", l.name, l.bare, bare[l])
		case end && len(l.barrier) != 0:
			err = fmt.Errorf("lane %s counts %d rows ahead where there are none", l.name, len(l.barrier))
		case l.inDB[0]+l.inDB[1] != inDB[l]:
			err = fmt.Errorf("lane %s counts %v indexed rows, memory has %d", l.name, l.inDB, inDB[l])
		}
	}
	if s.heldBare < bareBytes || end && s.heldBare != bareBytes { // more while some are being committed
		err = fmt.Errorf("%d bytes are counted for bare rows, there are %d", s.heldBare, bareBytes)
	}
	return s.held + s.heldBare, len(s.lanes), len(s.rows), err
}
