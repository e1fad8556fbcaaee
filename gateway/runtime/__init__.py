"""What every process needs: a clock port, settings, plugins, logs without patient data, counters, errors."""
