// An OpenCL program with faults on purpose: a read past the end, a data race, and one value that nobody wrote in a buffer that
// comes after a freed one. Shows that oclgrind is at work, and names no value too many, before its silence is taken as proof.
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdio.h>

static const char *const source = "__kernel void fault(__global int *a)\n"
                                  "{ a[0] = (int) get_global_id(0); if (get_global_id(0) == 1) a[1] = a[4096]; }\n"
                                  "__kernel void fill(__global int *a)\n"
                                  "{ if (get_global_id(0) != 3) a[get_global_id(0)] = 1; }\n"
                                  "__kernel void copy(__global int *a)\n"
                                  "{ a[get_global_id(0) + 32] = a[get_global_id(0)]; }\n";

// `written` bytes of a first buffer are written and it is freed; then kernels write all but the fourth int of a second, and
// copy all of them.
static cl_int reuse(cl_context context, cl_command_queue queue, cl_program program, size_t written)
{
    static const char zeros[4096];
    const size_t items = 32;
    cl_int status = CL_SUCCESS;
    cl_mem freed = clCreateBuffer(context, CL_MEM_READ_WRITE, written, NULL, &status);
    clEnqueueWriteBuffer(queue, freed, CL_TRUE, 0, written, zeros, 0, NULL, NULL);
    clReleaseMemObject(freed);
    cl_mem memory = clCreateBuffer(context, CL_MEM_READ_WRITE, 64 * sizeof(cl_int), NULL, &status);
    for (int i = 0; i < 2; i++) {
        cl_kernel kernel = clCreateKernel(program, i ? "copy" : "fill", &status);
        clSetKernelArg(kernel, 0, sizeof memory, &memory);
        status = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL);
        clFinish(queue);
        clReleaseKernel(kernel);
    }
    clReleaseMemObject(memory);
    return status;
}

int main(void)
{
    cl_platform_id platform;
    cl_device_id device;
    cl_int status = CL_SUCCESS;
    if (clGetPlatformIDs(1, &platform, NULL) || clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL))
        return printf("no OpenCL device\n"), 1;
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &status);
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, &status);
    cl_program program = clCreateProgramWithSource(context, 1, (const char **)&source, NULL, &status);
    clBuildProgram(program, 1, &device, "", NULL, NULL);
    cl_kernel kernel = clCreateKernel(program, "fault", &status);
    cl_mem memory = clCreateBuffer(context, CL_MEM_READ_WRITE, 64, NULL, &status);
    const size_t items = 32;
    clSetKernelArg(kernel, 0, sizeof memory, &memory);
    status = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL);
    clFinish(queue);
    clReleaseMemObject(memory);
    clReleaseKernel(kernel);
    if (!status)
        status = reuse(context, queue, program, 16);
    if (!status)
        status = reuse(context, queue, program, 4096);
    clReleaseProgram(program);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return status != CL_SUCCESS;
}
