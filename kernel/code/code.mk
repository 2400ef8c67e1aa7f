# Downloaded code on the host: in the tool, and its tests.
CODE_SRC := $(wildcard kernel/code/*.c kernel/code/host/*.c)
TOOL_SRC += $(CODE_SRC)

