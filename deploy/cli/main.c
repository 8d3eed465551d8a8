#include "deploy/cli/command.h"

int main(int argc, char **argv)
{
    return (int)cf_cli_run(argc, (const char *const *)argv);
}
