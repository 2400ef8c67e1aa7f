# The profile plugin for `xok run --profile`.
all: $(B)/profile.so
$(B)/profile.so: tools/profile/plugin.c tools/profile/profile.h
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -fPIC -shared -fvisibility=hidden -o $@ $<
