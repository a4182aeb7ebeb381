#include "grad.h"

void upc_grad_row(const upc_facts *facts, uint32_t local[3])
{
    const uint32_t most = UPC_MIN(facts->info.limits.group_size, facts->group_axis[0]);
    local[0] = local[1] = local[2] = 1;
    while (local[0] < 64 && local[0] * 2 <= most)
        local[0] *= 2;
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
