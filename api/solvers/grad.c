#include "grad.h"

void upc_grad_row(const upc_facts *facts, uint32_t local[3])
{
    const uint32_t most = UPC_MIN(facts->info.limits.group_size, facts->group_axis[0]);
    local[0] = local[1] = local[2] = 1;
    while (local[0] < 64 && local[0] * 2 <= most)
        local[0] *= 2;
}

enum { MOST_STEPS = 4096 };

// Items along each axis of a dispatch: whole rows as long as the device may be kept busy for so long.
static void choose_most(const upc_facts *facts, const upc_program_desc *program, const int64_t items[3], double macs,
                        int64_t most[3])
{
    double left = (double)facts->info.limits.dispatch_macs /
                  UPC_MAX(macs / ((double)items[0] * (double)items[1] * (double)items[2]), 1);
    for (int a = 0; a < 3; a++) {
        const int64_t local = program->local[a], grid = (int64_t)facts->info.limits.group_count * local;
        const int64_t now = UPC_MAX((int64_t)UPC_MIN(left, 1e9), 1), whole = UPC_MAX(now / local * local, 1);
        most[a] = UPC_MIN(UPC_MIN(now >= items[a] ? items[a] : whole, grid), items[a]);
        left /= (double)most[a];
    }
}

void upc_grad_grid_args(upc_program_desc *program)
{
    static const char *const names[] = {"X_N", "Y_N", "Z_N", "X_0", "Y_0", "Z_0"};
    for (size_t i = 0; i < UPC_COUNT(names); i++)
        upc_program_arg(program, names[i]);
}

upconv_status upc_grad_grid(const upc_facts *facts, const upc_program_desc *program, const int64_t items[3],
                            double macs, const upc_step *like, upc_recipe *recipe)
{
    int64_t most[3], at[3];
    choose_most(facts, program, items, macs, most);
    upc_step step = *like;
    upconv_status status = upc_recipe_program(recipe, program, &step.program);
    step.kind = UPC_STEP_KERNEL;
    step.barrier = true;
    for (at[2] = 0; at[2] < items[2] && !status; at[2] += most[2])
        for (at[1] = 0; at[1] < items[1] && !status; at[1] += most[1])
            for (at[0] = 0; at[0] < items[0] && !status; at[0] += most[0]) {
                for (int a = 0; a < 3; a++) {
                    const int64_t now = UPC_MIN(most[a], items[a] - at[a]);
                    step.args[a] = (int32_t)now;
                    step.args[3 + a] = (int32_t)at[a];
                    step.groups[a] = (uint32_t)upc_ceil_div(now, program->local[a]);
                }
                if (recipe->step_count >= MOST_STEPS)
                    return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                                    "the limits would cut this problem into more than %d dispatches", MOST_STEPS);
                status = upc_recipe_step(recipe, &step);
                step.barrier = false;
            }
    return status;
}

upconv_status upc_total_cook(const upc_facts *facts, uint64_t at, int64_t count, int64_t shares, upc_recipe *recipe)
{
    uint32_t local[3];
    upc_program_desc program;
    upc_grad_row(facts, local);
    upc_program_desc_init(&program, "total", local, 2);
    upc_program_arg(&program, "COUNT");
    upc_program_arg(&program, "SHARES");
    upc_program_arg(&program, "STEP");
    const int64_t room = upc_grad_room(facts) / 4 - (shares - 1) * count;
    const int64_t most = UPC_MIN(room, (int64_t)facts->info.limits.group_count * local[0]) / 4 * 4;
    if (most < 1)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "%lld shares of %lld sums are beyond a binding of %llu bytes",
                        (long long)shares, (long long)count, (unsigned long long)facts->info.limits.binding_bytes);
    for (int64_t first = 0; first < count; first += most) {
        const int64_t now = UPC_MIN(most, count - first);
        upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = first == 0, .bind_count = 2};
        step.args[0] = (int32_t)now;
        step.args[1] = (int32_t)shares;
        step.args[2] = (int32_t)count;
        for (int i = 0; i < 3; i++)
            step.groups[i] = i ? 1 : (uint32_t)upc_ceil_div(now, local[0]);
        step.bind[0] = (upc_bind){UPC_WORKSPACE, at + (uint64_t)first * 4, (uint64_t)((shares - 1) * count + now) * 4};
        step.bind[1] = (upc_bind){UPC_OUTPUT, (uint64_t)first * 4, (uint64_t)now * 4};
        upconv_status status = upc_recipe_program(recipe, &program, &step.program);
        if (status || (status = upc_recipe_step(recipe, &step)))
            return status;
    }
    return UPCONV_OK;
}
