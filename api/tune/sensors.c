// Heat and clocks, as Linux and Android show them. For the log: nothing depends on them.
#include "bed.h"

#include <stdio.h>
#include <stdlib.h>

// The number that a file begins with, or 0.
static double number_in(const char *path)
{
    char text[64] = "";
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    const bool read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    return read ? strtod(text, NULL) : 0;
}

static double hottest(void)
{
    double most = 0;
    for (int zone = 0; zone < 64; zone++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", zone);
        const double found = number_in(path);
        const double celsius = found > 1000 ? found / 1000 : found; // thousandths, but for a few drivers
        if (celsius > most && celsius < 200)                        // some sensors say nonsense
            most = celsius;
    }
    return most;
}

void upc_sensors(double *temperature_c, double *frequency_mhz)
{
    static const struct {
        const char *path;
        double unit; // of one MHz
    } clocks[] = {
        {"/sys/class/kgsl/kgsl-3d0/gpuclk", 1e6},
        {"/sys/class/misc/mali0/device/clock", 1},
        {"/sys/class/misc/mali0/device/devfreq/mali0/cur_freq", 1e6},
        {"/sys/kernel/debug/clk/v3d/clk_rate", 1e6},
        {"/sys/class/drm/card0/gt_cur_freq_mhz", 1},
        {"/sys/class/drm/card0/device/devfreq/card0/cur_freq", 1e6},
        {"/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", 1e3},
    };
    *frequency_mhz = 0;
    for (size_t i = 0; i < UPC_COUNT(clocks) && *frequency_mhz <= 0; i++)
        *frequency_mhz = number_in(clocks[i].path) / clocks[i].unit;
    *temperature_c = hottest();
}
