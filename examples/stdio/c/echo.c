#include <stdio.h>

/* Sends each line back. */
int main(void) {
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        fputs(line, stdout);
        fflush(stdout);
    }
    return 0;
}
