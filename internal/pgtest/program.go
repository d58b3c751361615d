package pgtest

// Run starts a cluster for a program that is no test, such as a load test. stop
// ends it and removes its folder.
func Run(o Options) (url string, stop func() error, err error) {
	c, err := create(o)
	if err != nil {
		return "", nil, err
	}
	return c.url("postgres"), c.remove, nil
}
